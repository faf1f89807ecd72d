// Stands for Apple's <Foundation/Foundation.h> where the Mac's SDK is missing: the part that the Metal engine uses.
#pragma once

#include <objc/NSObject.h>
#include <objc/objc.h>
#include <stddef.h>
#include <stdint.h>

#define NS_ENUM(type, name) \
  enum name : type name;    \
  enum name : type
#define NS_OPTIONS(type, name) \
  enum name : type name;       \
  enum name : type

typedef double NSTimeInterval;

typedef struct {
  NSInteger majorVersion;
  NSInteger minorVersion;
  NSInteger patchVersion;
} NSOperatingSystemVersion;

@class NSArray;
@class NSDictionary;
@class NSError;
@class NSString;
@class NSURL;

@interface NSString : NSObject
+ (instancetype)stringWithUTF8String:(const char *)bytes;
@property(readonly) const char *UTF8String;
@end

@interface NSArray : NSObject
+ (instancetype)arrayWithObject:(id)object;
@property(readonly) NSUInteger count;
- (id)objectAtIndex:(NSUInteger)index;
@end

@interface NSDictionary : NSObject
@property(readonly) NSUInteger count;
@property(readonly, copy) NSArray *allValues;
@end

@interface NSError : NSObject
@property(readonly) NSInteger code;
@property(readonly, copy) NSString *domain;
@property(readonly, copy) NSString *localizedDescription;
@end

@interface NSException : NSObject
@property(readonly, copy) NSString *name;
@property(readonly, copy) NSString *reason;
@end

@interface NSURL : NSObject
+ (NSURL *)fileURLWithPath:(NSString *)path;
@end

@interface NSProcessInfo : NSObject
@property(class, readonly) NSProcessInfo *processInfo;
@property(readonly) NSOperatingSystemVersion operatingSystemVersion;
@property(readonly, copy) NSString *operatingSystemVersionString;
@end
