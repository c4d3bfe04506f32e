#include <ww/base/log.h>

#include <ww/base/text.h>

namespace ww {
namespace {

constexpr struct { LogLevel level; kj::StringPtr name; } LEVELS[] = {
  {LogLevel::TRACE, "trace"_kj}, {LogLevel::DEBUG, "debug"_kj}, {LogLevel::INFO, "info"_kj},
  {LogLevel::WARNING, "warning"_kj}, {LogLevel::ERROR, "error"_kj},
};

bool needsQuotes(kj::StringPtr value) {
  if (value.size() == 0) return true;
  for (char c: value) {
    if (c == ' ' || c == '"' || c == '=' || c == '\\') return true;
  }
  return false;
}

kj::String quoteText(kj::StringPtr value) {
  auto escaped = escapeText(value);
  if (!needsQuotes(escaped)) return escaped;
  kj::Vector<char> out(escaped.size() + 2);
  for (char c: escaped) {
    if (c == '"') out.add('\\');
    out.add(c);
  }
  return kj::str('"', kj::ArrayPtr<const char>(out), '"');
}

}  // namespace

kj::StringPtr name(LogLevel level) { return LEVELS[static_cast<size_t>(level)].name; }

kj::Maybe<LogLevel> findLogLevel(kj::StringPtr name) {
  for (auto& entry: LEVELS) {
    if (entry.name == name) return entry.level;
  }
  return nullptr;
}

kj::String renderText(LogLevel level, kj::StringPtr time, kj::StringPtr event,
                      kj::ArrayPtr<const LogField> fields) {
  auto shown = KJ_MAP(field, fields) {
    return kj::str(' ', field.name, '=', quoteText(field.value));
  };
  return kj::str(time, time.size() > 0 ? " " : "", name(level), ": ", escapeText(event),
                 kj::strArray(shown, ""), '\n');
}

kj::String renderJson(LogLevel level, kj::StringPtr time, kj::StringPtr event,
                      kj::ArrayPtr<const LogField> fields) {
  auto shown = KJ_MAP(field, fields) {
    return kj::str(',', quoteJson(field.name), ':', quoteJson(field.value));
  };
  auto timeField = time.size() > 0 ? kj::str("\"time\":", quoteJson(time), ",") : kj::String();
  return kj::str('{', timeField, "\"level\":\"", name(level), "\",\"event\":", quoteJson(event),
                 kj::strArray(shown, ""), "}\n");
}

void MemoryLogger::log(LogLevel level, kj::StringPtr event, kj::ArrayPtr<const LogField> fields) {
  lines.add(renderText(level, "", event, fields));
}

}  // namespace ww
