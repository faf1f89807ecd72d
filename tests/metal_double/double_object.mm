#import "double_object.h"

#include <mutex>
#include <unordered_map>

#import <objc/runtime.h>

#include "double_state.h"

namespace {

std::mutex zombies_mutex;
std::unordered_map<const void *, std::string> zombie_classes;

std::string class_of_zombie(const void *object) {
  const std::lock_guard lock(zombies_mutex);
  return zombie_classes[object];
}

void report_message_to_zombie(const void *object, SEL selector) {
  metal_double::report_violation("-[" + class_of_zombie(object) + " " + sel_getName(selector) +
                                 "] sent after the object was released for the last time");
}

}  // namespace

// What a released object becomes. It keeps its memory, so that a late message finds this class and no other object.
@interface DoubleZombie : NSObject
@end

@implementation DoubleZombie
- (id)retain {
  report_message_to_zombie(self, _cmd);
  return self;
}
- (oneway void)release {
  report_message_to_zombie(self, _cmd);
}
- (id)autorelease {
  report_message_to_zombie(self, _cmd);
  return self;
}
- (NSMethodSignature *)methodSignatureForSelector:(SEL)selector {
  report_message_to_zombie(self, selector);
  // Any signature will do: the invocation is dropped, and its result is zero.
  return [NSMethodSignature signatureWithObjCTypes:"v@:"];
}
- (void)forwardInvocation:(NSInvocation *)invocation {
  (void)invocation;
}
- (void)dealloc {
  // Never called: release above doesn't count.
  return;
  [super dealloc];
}
@end

@implementation DoubleObject
- (instancetype)init {
  self = [super init];
  if (self != nil) metal_double::object_born(class_getName([self class]));
  return self;
}
- (void)dealloc {
  const metal_double::InDouble inside;
  const char *name = class_getName([self class]);
  metal_double::object_died(name);
  {
    const std::lock_guard lock(zombies_mutex);
    zombie_classes[self] = name;
  }
  object_setClass(self, [DoubleZombie class]);
  return;
  [super dealloc];
}
@end

namespace metal_double {

NSString *make_string(const std::string &text) { return [NSString stringWithUTF8String:text.c_str()]; }

std::string text_of(NSString *string) {
  const char *bytes = [string UTF8String];
  return bytes == nullptr ? std::string() : std::string(bytes);
}

NSError *make_error(const char *domain, NSInteger code, const std::string &reason) {
  NSDictionary *information = [NSDictionary dictionaryWithObject:make_string(reason) forKey:NSLocalizedDescriptionKey];
  return [NSError errorWithDomain:make_string(domain) code:code userInfo:information];
}

void raise_staged(std::string Staged::*member) {
  const std::string reason = take_staged(member);
  if (reason.empty()) return;
  NSString *text = [make_string(reason) retain];
  [[[NSException alloc] initWithName:NSInternalInconsistencyException reason:text userInfo:nil] raise];
}

void throw_staged(std::string Staged::*member) {
  const std::string text = take_staged(member);
  if (!text.empty()) @throw [make_string(text) retain];
}

void require_autorelease_pool(const char *message) {
  if ([NSAutoreleasePool currentPool] == nil) {
    report_violation(std::string(message) + " sent on a thread without an autorelease pool: its result leaks");
  }
}

}  // namespace metal_double
