#include <ww/base/line-quota.h>

#include <kj/debug.h>

namespace ww {

void LineQuota::log(uint64_t whose, LogLevel level, kj::StringPtr event,
                    kj::ArrayPtr<const LogField> fields) {
  auto& period = periods.findOrCreate(whose, [&]() {
    ends.add(timer.afterDelay(PERIOD).then([this, whose]() { end(whose); }));
    return kj::HashMap<uint64_t, Period>::Entry{whose, {}};
  });
  if (period.lines < LINES) {
    ++period.lines;
    return logger.log(level, event, fields);
  }
  ++period.more;
  auto first = fields.size() == 0 ? kj::str() : kj::str(' ', fields[0].name, '=', fields[0].value);
  period.latest = kj::str(event, first);
}

void LineQuota::end(uint64_t whose) {
  auto period = kj::mv(KJ_ASSERT_NONNULL(periods.find(whose)));
  periods.erase(whose);
  if (period.more == 0) return;
  logger.log(LogLevel::WARNING, "more lines of the same origin were not logged",
             {{"count", kj::str(period.more)}, {"latest", kj::mv(period.latest)}});
}

void LineQuota::taskFailed(kj::Exception&& exception) {
  KJ_LOG(ERROR, "lines that were not logged were not counted", exception);
}

void FarLines::log(uint64_t whose, LogLevel level, kj::StringPtr event,
                   kj::ArrayPtr<const LogField> fields) {
  auto copy = KJ_MAP(field, fields) { return LogField{field.name, kj::str(field.value)}; };
  inbox->post([&quota = quota, whose, level, event, copy = kj::mv(copy)]() {
    quota.log(whose, level, event, copy);
  });
}

}  // namespace ww
