// The base of the double's objects: counts them, and turns released ones into zombies that report every message.
#pragma once

#import <Foundation/Foundation.h>

#include <string>

#include "double_state.h"

@interface DoubleObject : NSObject
@end

namespace metal_double {

NSError *make_error(const char *domain, NSInteger code, const std::string &reason);
NSString *make_string(const std::string &text);  // autoreleased
std::string text_of(NSString *string);
// Raises an NSException where `member` holds a reason. Apple's runtime keeps an exception alive while it is thrown,
// GCC's does not, so this one is never released.
void raise_staged(std::string metal_double::Staged::*member);
// Throws an NSString that says it, which is never released either.
void throw_staged(std::string metal_double::Staged::*member);
// Metal's methods return autoreleased objects, which leak on a thread that has no pool.
void require_autorelease_pool(const char *message);

}  // namespace metal_double
