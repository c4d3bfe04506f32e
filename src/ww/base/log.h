#pragma once
// What a node has to say to its operator: an event a line, with named fields. Where the lines go is
// the owner's business; the interface is passed in by constructor like any authority.
//
// Texts and fields may hold what a guest or a peer chose: the renderers escape it, so that nobody
// can forge a line or command a terminal.

#include <kj/array.h>
#include <kj/string.h>
#include <kj/vector.h>
#include <initializer_list>

namespace ww {

enum class LogLevel { TRACE, DEBUG, INFO, WARNING, ERROR };
enum class LogFormat { TEXT, JSON };

kj::StringPtr name(LogLevel level);

// Of the names above; nothing for any other.
kj::Maybe<LogLevel> findLogLevel(kj::StringPtr name);

struct LogField {
  kj::StringPtr name;  // a literal
  kj::String value;
};

class Logger {
 public:
  virtual ~Logger() noexcept(false) {}

  // `event` is a literal. Never throws.
  virtual void log(LogLevel level, kj::StringPtr event, kj::ArrayPtr<const LogField> fields) = 0;

  void log(LogLevel level, kj::StringPtr event, std::initializer_list<LogField> fields = {}) {
    log(level, event, kj::arrayPtr(fields.begin(), fields.size()));
  }
};

// One line, with its newline. `time` is as it is to be shown, or empty.
kj::String renderText(LogLevel level, kj::StringPtr time, kj::StringPtr event,
                      kj::ArrayPtr<const LogField> fields);
kj::String renderJson(LogLevel level, kj::StringPtr time, kj::StringPtr event,
                      kj::ArrayPtr<const LogField> fields);

// Keeps the lines, as text without a time. For tests.
class MemoryLogger final: public Logger {
 public:
  using Logger::log;
  void log(LogLevel level, kj::StringPtr event, kj::ArrayPtr<const LogField> fields) override;
  kj::ArrayPtr<const kj::String> getLines() const { return lines; }
  void clear() { lines.clear(); }

 private:
  kj::Vector<kj::String> lines;
};

}  // namespace ww
