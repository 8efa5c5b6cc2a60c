// One generic call for every operator of libtorch: JavaScript values become IValues by the operator's own schema.
#include <ATen/core/ivalue.h>
#include <ATen/core/stack.h>
#include <ATen/ops/scalar_tensor.h>
#include <c10/core/ScalarTypeToTypeMeta.h>

#include "handle.h"

namespace hub {

namespace {

using c10::IValue;
using c10::TypeKind;

at::Scalar toScalar(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  if (type == napi_boolean) return at::Scalar(toBool(env, value));
  if (type == napi_bigint) return at::Scalar(toInt(env, value));
  if (type != napi_number) throw CallError("expected a number");
  const double number = toDouble(env, value);
  // JavaScript does not tell 2 from 2.0: an integral number is an integer, which never changes a floating result.
  const bool integral = std::abs(number) <= 9007199254740992.0 && number == std::floor(number);
  const bool negativeZero = number == 0 && std::signbit(number);
  return integral && !negativeZero ? at::Scalar(static_cast<int64_t>(number)) : at::Scalar(number);
}

// A number in the place of a tensor takes part in type promotion as a Python number does ("wrapped number").
at::Tensor toTensorOrNumber(napi_env env, napi_value value) {
  napi_valuetype type;
  check(env, napi_typeof(env, value, &type));
  if (type == napi_external) return unwrapTensor(env, value);
  if (type != napi_number && type != napi_boolean && type != napi_bigint) throw CallError("expected a Tensor");
  const at::Scalar scalar = toScalar(env, value);
  at::Tensor tensor = at::scalar_tensor(scalar, at::TensorOptions().dtype(scalar.type()));
  tensor.unsafeGetTensorImpl()->set_wrapped_number(true);
  return tensor;
}

at::MemoryFormat toMemoryFormat(const std::string& name) {
  if (name == "contiguous_format") return at::MemoryFormat::Contiguous;
  if (name == "preserve_format") return at::MemoryFormat::Preserve;
  if (name == "channels_last") return at::MemoryFormat::ChannelsLast;
  if (name == "channels_last_3d") return at::MemoryFormat::ChannelsLast3d;
  throw CallError("unknown memory format \"" + name + "\"");
}

IValue toIValue(napi_env env, napi_value value, const c10::Type& type, std::optional<int32_t> fixedLength);

template <class T, class Convert>
IValue toList(napi_env env, napi_value value, std::optional<int32_t> fixedLength, Convert convert) {
  c10::List<T> list;
  bool isArray = false;
  check(env, napi_is_array(env, value, &isArray));
  if (!isArray) {
    if (!fixedLength) throw CallError("expected an array");
    for (int32_t i = 0; i < *fixedLength; ++i) list.push_back(convert(value));
    return list;
  }
  uint32_t length = 0;
  check(env, napi_get_array_length(env, value, &length));
  list.reserve(length);
  for (uint32_t i = 0; i < length; ++i) {
    napi_value element;
    check(env, napi_get_element(env, value, i, &element));
    list.push_back(convert(element));
  }
  return list;
}

IValue toListOf(napi_env env, napi_value value, const c10::Type& element, std::optional<int32_t> fixedLength) {
  switch (element.kind()) {
    case TypeKind::TensorType:
      return toList<at::Tensor>(env, value, fixedLength, [&](napi_value v) { return toTensorOrNumber(env, v); });
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      return toList<int64_t>(env, value, fixedLength, [&](napi_value v) { return toInt(env, v); });
    case TypeKind::FloatType:
      return toList<double>(env, value, fixedLength, [&](napi_value v) { return toDouble(env, v); });
    case TypeKind::BoolType:
      return toList<bool>(env, value, fixedLength, [&](napi_value v) { return toBool(env, v); });
    case TypeKind::NumberType:
      return toList<at::Scalar>(env, value, fixedLength, [&](napi_value v) { return toScalar(env, v); });
    case TypeKind::OptionalType:
      if (element.expectRef<c10::OptionalType>().getElementType()->kind() == TypeKind::NumberType) {
        return toList<std::optional<at::Scalar>>(env, value, fixedLength, [&](napi_value v) { return toScalar(env, v); });
      }
      return toList<std::optional<at::Tensor>>(env, value, fixedLength, [&](napi_value v) {
        return isNullish(env, v) ? std::optional<at::Tensor>() : std::optional<at::Tensor>(unwrapTensor(env, v));
      });
    default:
      throw CallError("lists of " + element.str() + " are not supported");
  }
}

IValue toIValue(napi_env env, napi_value value, const c10::Type& type, std::optional<int32_t> fixedLength) {
  switch (type.kind()) {
    case TypeKind::TensorType:
      return toTensorOrNumber(env, value);
    case TypeKind::OptionalType:
      if (isNullish(env, value)) return IValue();
      return toIValue(env, value, *type.expectRef<c10::OptionalType>().getElementType(), fixedLength);
    case TypeKind::ListType:
      return toListOf(env, value, *type.expectRef<c10::ListType>().getElementType(), fixedLength);
    case TypeKind::IntType:
    case TypeKind::SymIntType:
      return toInt(env, value);
    case TypeKind::FloatType:
    case TypeKind::SymFloatType:
      return toDouble(env, value);
    case TypeKind::BoolType:
    case TypeKind::SymBoolType:
      return toBool(env, value);
    case TypeKind::NumberType:
      return toScalar(env, value);
    case TypeKind::StringType:
    case TypeKind::AnyType:  // a process group, by its name
      return toString(env, value);
    case TypeKind::DeviceObjType:
      return c10::Device(toString(env, value));
    case TypeKind::GeneratorType:
      return unwrap(env, value, Kind::Generator)->generator;
    case TypeKind::ScalarTypeType:
      return static_cast<int64_t>(toScalarType(toString(env, value)));
    case TypeKind::MemoryFormatType:
      return static_cast<int64_t>(toMemoryFormat(toString(env, value)));
    case TypeKind::LayoutType:
      if (toString(env, value) != "strided") throw CallError("only the layout \"strided\" is supported");
      return static_cast<int64_t>(at::kStrided);
    default:
      throw CallError("arguments of type " + type.str() + " are not supported");
  }
}

napi_value fromIValue(napi_env env, const IValue& value) {
  if (value.isTensor()) return wrapTensor(env, value.toTensor());
  if (value.isNone()) return undefined(env);
  if (value.isInt()) return fromInt(env, value.toInt());
  if (value.isBool()) return fromBool(env, value.toBool());
  napi_value result;
  if (value.isDouble()) {
    check(env, napi_create_double(env, value.toDouble(), &result));
    return result;
  }
  if (value.isScalar()) {
    check(env, napi_create_double(env, value.toScalar().toDouble(), &result));
    return result;
  }
  if (value.isString()) return fromString(env, value.toStringRef());
  if (value.isList()) {
    const auto elements = value.toListRef();
    check(env, napi_create_array_with_length(env, elements.size(), &result));
    for (size_t i = 0; i < elements.size(); ++i) {
      check(env, napi_set_element(env, result, static_cast<uint32_t>(i), fromIValue(env, elements[i])));
    }
    return result;
  }
  throw CallError("a result of type " + value.tagKind() + " is not supported");
}

void setString(napi_env env, napi_value object, const char* key, const std::string& value) {
  check(env, napi_set_named_property(env, object, key, fromString(env, value)));
}

void setBool(napi_env env, napi_value object, const char* key, bool value) {
  check(env, napi_set_named_property(env, object, key, fromBool(env, value)));
}

napi_value describe(napi_env env, int64_t index, const c10::FunctionSchema& schema) {
  napi_value result;
  napi_value arguments;
  napi_value returns;
  check(env, napi_create_object(env, &result));
  check(env, napi_set_named_property(env, result, "index", fromInt(env, index)));
  setString(env, result, "schema", c10::toString(schema));
  check(env, napi_create_array(env, &arguments));
  uint32_t i = 0;
  for (const auto& argument : schema.arguments()) {
    napi_value entry;
    check(env, napi_create_object(env, &entry));
    setString(env, entry, "name", argument.name());
    setString(env, entry, "type", argument.real_type()->str());
    setBool(env, entry, "keywordOnly", argument.kwarg_only());
    setBool(env, entry, "hasDefault", argument.default_value().has_value());
    setBool(env, entry, "fixedLength", argument.N().has_value());
    check(env, napi_set_element(env, arguments, i++, entry));
  }
  check(env, napi_set_named_property(env, result, "arguments", arguments));
  check(env, napi_create_array(env, &returns));
  i = 0;
  for (const auto& value : schema.returns()) {
    check(env, napi_set_element(env, returns, i++, fromString(env, value.real_type()->str())));
  }
  check(env, napi_set_named_property(env, result, "returns", returns));
  return result;
}

}  // namespace

// findOperator(name, overload) -> {index, schema, arguments, returns} or undefined.
napi_value findOperator(napi_env env, const std::vector<napi_value>& args) {
  const auto found = c10::Dispatcher::singleton().findSchema({toString(env, args.at(0)), toString(env, args.at(1))});
  if (!found) return undefined(env);
  auto& operators = instance(env)->operators;
  operators.push_back(*found);
  return describe(env, static_cast<int64_t>(operators.size()) - 1, found->schema());
}

// callOperator(index, arguments, discard) -> result, array of results, or undefined.
napi_value callOperator(napi_env env, const std::vector<napi_value>& args) {
  const auto& operators = instance(env)->operators;
  const auto index = static_cast<size_t>(toInt(env, args.at(0)));
  if (index >= operators.size()) throw CallError("no such operator index");
  const auto& op = operators[index];
  const auto& schema = op.schema().arguments();
  uint32_t given = 0;
  check(env, napi_get_array_length(env, args.at(1), &given));
  if (given > schema.size()) throw CallError("too many arguments");
  torch::jit::Stack stack;
  stack.reserve(schema.size());
  for (uint32_t i = 0; i < schema.size(); ++i) {
    const auto& argument = schema[i];
    napi_value value = nullptr;
    napi_valuetype type = napi_undefined;
    if (i < given) {
      check(env, napi_get_element(env, args[1], i, &value));
      check(env, napi_typeof(env, value, &type));
    }
    if (type == napi_undefined) {
      if (argument.default_value()) {
        stack.push_back(*argument.default_value());
      } else if (argument.type()->kind() == TypeKind::OptionalType) {
        stack.emplace_back();
      } else {
        throw CallError("argument \"" + argument.name() + "\" is missing");
      }
      continue;
    }
    try {
      stack.push_back(toIValue(env, value, *argument.real_type(), argument.N()));
    } catch (const CallError& error) {
      throw CallError("argument \"" + argument.name() + "\": " + error.what());
    }
  }
  op.callBoxed(&stack);
  throwIfTruncated();
  if (toBool(env, args.at(2)) || stack.empty()) return undefined(env);
  if (stack.size() == 1) return fromIValue(env, stack[0]);
  napi_value result;
  check(env, napi_create_array_with_length(env, stack.size(), &result));
  for (size_t i = 0; i < stack.size(); ++i) {
    check(env, napi_set_element(env, result, static_cast<uint32_t>(i), fromIValue(env, stack[i])));
  }
  return result;
}

}  // namespace hub
