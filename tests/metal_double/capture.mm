// GPU captures: a directory with a list of the dispatches in it, by their labels, where Metal writes what Xcode opens.
#include <cstdlib>
#include <fstream>
#include <mutex>

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

std::string capture_path;
std::int64_t captures = 0;
std::mutex recorded_mutex;
std::vector<std::string> recorded;  // guarded by recorded_mutex

}  // namespace

void metal_double::record_dispatch(const std::string &debug_groups) {
  const std::lock_guard lock(recorded_mutex);
  recorded.push_back(debug_groups);
}

// Documents need MTL_CAPTURE_ENABLED=1 in the environment, as on a Mac.
@implementation MTLCaptureManager
+ (MTLCaptureManager *)sharedCaptureManager {
  static MTLCaptureManager *manager = [[MTLCaptureManager alloc] init];
  return manager;
}
- (BOOL)isCapturing {
  return running_capture() != 0;
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
  if (running_capture() != 0) return refuse(2, "Already capturing.");
  if (![self supportsDestination:descriptor.destination]) return refuse(1, "Capturing is not supported.");
  if (descriptor.captureObject == nil) report_violation("startCaptureWithDescriptor: nothing to capture");
  if (const std::string failure = take_staged(&Staged::capture_error); !failure.empty()) {
    return refuse(3, failure.c_str());
  }
  NSString *path = [descriptor.outputURL path];
  if (path == nil) return refuse(3, "An output URL is needed.");
  if ([[NSFileManager defaultManager] fileExistsAtPath:path]) return refuse(3, "The output file exists.");
  capture_path = text_of(path);
  const std::lock_guard lock(recorded_mutex);
  recorded.clear();
  running_capture() = ++captures;
  return YES;
}
- (void)stopCapture {
  const InDouble inside;
  if (running_capture() == 0) {
    report_violation("stopCapture without a capture");
    return;
  }
  running_capture() = 0;
  [[NSFileManager defaultManager] createDirectoryAtPath:make_string(capture_path)
                            withIntermediateDirectories:NO
                                             attributes:nil
                                                  error:NULL];
  const std::lock_guard lock(recorded_mutex);
  std::ofstream file(capture_path + "/dispatches");
  for (const auto &labels : recorded) file << labels << '\n';
}
@end
