// GPU captures: a directory with the number of dispatches in it, where Metal writes what Xcode opens.
#include <cstdlib>
#include <fstream>

#import "double_device.h"
#include "double_state.h"

using namespace metal_double;

@interface DoubleCaptureDescriptor : MTLCaptureDescriptor {
  id _captureObject;
  MTLCaptureDestination _destination;
  NSURL *_outputURL;
}
@end

@implementation MTLCaptureDescriptor
@dynamic captureObject, destination, outputURL;
+ (id)allocWithZone:(NSZone *)zone {
  if (self == [MTLCaptureDescriptor class]) return [DoubleCaptureDescriptor allocWithZone:zone];
  object_born("MTLCaptureDescriptor");
  return [super allocWithZone:zone];
}
- (void)dealloc {
  object_died("MTLCaptureDescriptor");
  [super dealloc];
}
@end

@implementation DoubleCaptureDescriptor
@synthesize captureObject = _captureObject;
@synthesize destination = _destination;
@synthesize outputURL = _outputURL;
- (void)dealloc {
  [_captureObject release];
  [_outputURL release];
  [super dealloc];
}
@end

namespace {

bool is_capturing = false;
std::string capture_path;
std::int64_t dispatches_before = 0;

}  // namespace

// Documents need MTL_CAPTURE_ENABLED=1 in the environment, as on a Mac.
@implementation MTLCaptureManager
+ (MTLCaptureManager *)sharedCaptureManager {
  static MTLCaptureManager *manager = [[MTLCaptureManager alloc] init];
  return manager;
}
- (BOOL)isCapturing {
  return is_capturing;
}
- (BOOL)supportsDestination:(MTLCaptureDestination)destination {
  const char *enabled = std::getenv("MTL_CAPTURE_ENABLED");
  return destination == MTLCaptureDestinationGPUTraceDocument && enabled != nullptr && std::string(enabled) == "1";
}
- (BOOL)startCaptureWithDescriptor:(MTLCaptureDescriptor *)descriptor error:(NSError **)error {
  const InDouble inside;
  const auto refuse = [error](NSInteger code, const char *reason) {
    *error = make_error("MTLCaptureErrorDomain", code, reason);
    return NO;
  };
  if (is_capturing) return refuse(2, "Already capturing.");
  if (![self supportsDestination:descriptor.destination]) return refuse(1, "Capturing is not supported.");
  if (descriptor.captureObject == nil) report_violation("startCaptureWithDescriptor: nothing to capture");
  NSString *path = [descriptor.outputURL path];
  if ([[NSFileManager defaultManager] fileExistsAtPath:path]) return refuse(3, "The output file exists.");
  capture_path = text_of(path);
  dispatches_before = counters().dispatches;
  is_capturing = true;
  return YES;
}
- (void)stopCapture {
  const InDouble inside;
  if (!is_capturing) {
    report_violation("stopCapture without a capture");
    return;
  }
  is_capturing = false;
  [[NSFileManager defaultManager] createDirectoryAtPath:make_string(capture_path)
                            withIntermediateDirectories:NO
                                             attributes:nil
                                                  error:NULL];
  std::ofstream(capture_path + "/dispatches") << counters().dispatches - dispatches_before << '\n';
}
@end
