// Libraries and functions of the double: what the host engine compiles, seen through Metal's interface.
#include <algorithm>
#include <map>
#include <regex>
#include <sstream>

#import "double_commands.h"
#import "double_device.h"
#include "double_state.h"
#include "errors.h"
#import "framework_classes.h"

using namespace metal_double;

namespace {

using helion_msl::Constants;
using helion_msl::ScalarType;

MTLDataType scalar_of_name(const std::string &name) {
  static const std::map<std::string, MTLDataType> types = {
      {"bool", MTLDataTypeBool},     {"char", MTLDataTypeChar},   {"uchar", MTLDataTypeUChar},
      {"int8_t", MTLDataTypeChar},   {"short", MTLDataTypeShort}, {"ushort", MTLDataTypeUShort},
      {"int", MTLDataTypeInt},       {"uint", MTLDataTypeUInt},   {"int32_t", MTLDataTypeInt},
      {"uint32_t", MTLDataTypeUInt}, {"long", MTLDataTypeLong},   {"ulong", MTLDataTypeULong},
      {"half", MTLDataTypeHalf},     {"float", MTLDataTypeFloat}, {"bfloat", MTLDataTypeBFloat}};
  const auto found = types.find(name);
  return found == types.end() ? MTLDataTypeStruct : found->second;
}

// The double's own, plain reading of `constant int width [[function_constant(0)]];`.
std::vector<ConstantDeclaration> constants_of(const std::string &source) {
  static const std::regex pattern(
      R"(constant\s+(?:constexpr\s+)?(\w+)\s+(\w+)\s*\[\[\s*function_constant\s*\(\s*(\d+)\s*\)\s*\]\])");
  std::vector<ConstantDeclaration> found;
  for (std::sregex_iterator match(source.begin(), source.end(), pattern), end; match != end; ++match) {
    const std::string name = (*match)[2];
    const std::regex guard("is_function_constant_defined\\s*\\(\\s*" + name + "\\s*\\)");
    found.push_back({name, scalar_of_name((*match)[1]), std::stoul((*match)[3]), !std::regex_search(source, guard)});
  }
  return found;
}

// Text from the brace at or after `begin` to the one that closes it, or to the end.
std::string braced(const std::string &source, std::size_t begin) {
  int depth = 0;
  for (std::size_t at = source.find('{', begin); at < source.size(); ++at) {
    depth += (source[at] == '{') - (source[at] == '}');
    if (depth == 0) return source.substr(begin, at - begin);
  }
  return source.substr(std::min(begin, source.size()));
}

// Metal tells of a function the constants that it uses. A constant that stands outside of all kernels but where it is
// declared may be used by any of them.
bool uses(const LibrarySource &library, const std::string &kernel, const std::string &constant) {
  const std::regex word("\\b" + constant + "\\b");
  std::string elsewhere = library.text;
  bool is_used = false;
  for (const auto &name : library.kernel_names) {
    std::smatch head;
    if (!std::regex_search(elsewhere, head, std::regex("\\b" + name + "\\s*\\("))) return true;
    const auto begin = static_cast<std::size_t>(head.position());
    const std::string text = braced(elsewhere, begin);
    is_used = is_used || (name == kernel && std::regex_search(text, word));
    elsewhere.erase(begin, text.size());
  }
  const auto mentions = std::distance(std::sregex_iterator(elsewhere.begin(), elsewhere.end(), word), {});
  return is_used || mentions > 1;
}

// The names in "... it has 'a', 'b'", which is how the host engine answers for a kernel that is not there.
std::vector<std::string> quoted_names(const std::string &message) {
  std::vector<std::string> names;
  const auto list = message.find(" has '");
  std::istringstream rest(list == std::string::npos ? std::string() : message.substr(list));
  std::string piece;
  for (bool is_name = false; std::getline(rest, piece, '\''); is_name = !is_name) {
    if (is_name) names.push_back(piece);
  }
  return names;
}

// Metal's compiler calls a source that it got as text "program_source".
std::string as_metal_says(std::string diagnostics) {
  const std::string ours = "<msl>:";
  for (auto at = diagnostics.find(ours); at != std::string::npos; at = diagnostics.find(ours, at + 1)) {
    diagnostics.replace(at, ours.size(), "program_source:");
  }
  return diagnostics;
}

// Metal compiles a library before the constants have values; the host engine wants them. Any value will do to find
// mistakes and names.
Constants placeholder_values(const std::string &source) {
  Constants values;
  for (const auto &constant : constants_of(source)) {
    values[std::to_string(constant.index)] =
        constant.type == MTLDataTypeBool ? helion_msl::ConstantValue(true) : helion_msl::ConstantValue(std::int64_t{1});
  }
  return values;
}

}  // namespace

namespace metal_double {

std::shared_ptr<const LibrarySource> compile_source(const std::string &text, helion_msl::MathMode mode,
                                                    std::string &failure) {
  auto library = std::make_shared<LibrarySource>();
  library->text = text;
  library->math_mode = mode;
  try {
    helion_msl::host_engine().compile({text, "no kernel has this name", mode, placeholder_values(text)});
  } catch (const helion_msl::UnknownKernelError &names) {
    library->kernel_names = quoted_names(names.what());
  } catch (const std::exception &error) {
    failure = as_metal_says(error.what());
    return nullptr;
  }
  return library;
}

}  // namespace metal_double

@implementation DoubleLibrary
@synthesize label = _label;

- (instancetype)initWithSource:(std::shared_ptr<const LibrarySource>)source {
  self = [super init];
  if (self != nil) _source = new std::shared_ptr<const LibrarySource>(std::move(source));
  return self;
}
- (void)dealloc {
  delete _source;
  [_label release];
  [super dealloc];
}
- (NSArray *)functionNames {
  require_autorelease_pool("functionNames");
  const InDouble inside;
  NSMutableArray *names = [NSMutableArray array];
  for (const auto &name : (*_source)->kernel_names) [names addObject:make_string(name)];
  return names;
}
- (id<MTLFunction>)newFunctionWithName:(NSString *)functionName {
  const InDouble inside;
  return [self functionNamed:text_of(functionName) constants:{}];
}
- (id<MTLFunction>)newFunctionWithName:(NSString *)name
                        constantValues:(MTLFunctionConstantValues *)constantValues
                                 error:(NSError **)error {
  const InDouble inside;
  id<MTLFunction> function = [self functionNamed:text_of(name) constants:values_of(constantValues)];
  if (function == nil)
    *error = make_error("MTLLibraryErrorDomain", MTLLibraryErrorFunctionNotFound, "no such function");
  for (const auto &declared : constants_of((*_source)->text)) {
    if (declared.is_required && uses(**_source, text_of(name), declared.name) &&
        !values_of(constantValues).contains(std::to_string(declared.index))) {
      *error = make_error("MTLLibraryErrorDomain", MTLLibraryErrorCompileFailure,
                          "function constant " + declared.name + " has no value");
      [function release];
      return nil;
    }
  }
  return function;
}
- (DoubleFunction *)functionNamed:(const std::string &)name constants:(const Constants &)constants {
  const auto &names = (*_source)->kernel_names;
  if (std::find(names.begin(), names.end(), name) == names.end()) return nil;
  return [[DoubleFunction alloc] initWithSource:*_source name:name constants:constants];
}
@end

@implementation DoubleFunction
@synthesize label = _label;

- (instancetype)initWithSource:(std::shared_ptr<const LibrarySource>)source
                          name:(const std::string &)name
                     constants:(const Constants &)constants {
  self = [super init];
  if (self != nil) {
    _source = new std::shared_ptr<const LibrarySource>(std::move(source));
    _constants = new Constants(constants);
    _name = [make_string(name) retain];
  }
  return self;
}
- (void)dealloc {
  delete _source;
  delete _constants;
  [_name release];
  [_label release];
  [super dealloc];
}
- (MTLFunctionType)functionType {
  return MTLFunctionTypeKernel;
}
- (NSString *)name {
  return _name;
}
- (NSDictionary *)functionConstantsDictionary {
  require_autorelease_pool("functionConstantsDictionary");
  const InDouble inside;
  NSMutableDictionary *constants = [NSMutableDictionary dictionary];
  for (const auto &declaration : constants_of((*_source)->text)) {
    if (!uses(**_source, text_of(_name), declaration.name)) continue;
    MTLFunctionConstant *constant = make_function_constant(declaration);
    [constants setObject:constant forKey:constant.name];
  }
  return constants;
}
- (std::string)archiveKey {
  std::ostringstream key;
  key << text_of(_name) << '\n' << static_cast<int>((*_source)->math_mode) << '\n';
  for (const auto &[name, value] : *_constants) {
    key << name << '=';
    std::visit([&key](auto plain) { key << plain; }, value);
    key << '\n';
  }
  key << (*_source)->text;
  return std::to_string(std::hash<std::string>()(key.str()));
}
- (HostKernel)compile {
  return helion_msl::host_engine().compile({(*_source)->text, text_of(_name), (*_source)->math_mode, *_constants});
}
@end
