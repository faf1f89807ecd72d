// The one place where Apple's headers come in. With the Mac's SDK they are Apple's; without it the include path leads
// to src/metal_declarations, and on Linux to GNUstep's Foundation.
#pragma once

#import <Foundation/Foundation.h>
#import <Metal/Metal.h>
#include <dispatch/dispatch.h>

#ifdef GNUSTEP
typedef struct {
  NSInteger majorVersion;
  NSInteger minorVersion;
  NSInteger patchVersion;
} NSOperatingSystemVersion;

// GNUstep's class lacks this property; whoever stands for Metal there says which macOS it plays.
@interface NSProcessInfo (HelionMSLOperatingSystemVersion)
@property(readonly) NSOperatingSystemVersion operatingSystemVersion;
@end
#endif
