#include <ww/cli/limit-options.h>

namespace ww {
namespace {

std::string check(const std::string& text) {
  NodeLimits scratch;
  return setLimit(scratch, text.c_str()).map([](kj::String problem) -> std::string {
    return problem.cStr();
  }).orDefault("");
}

// By a flag of its own, whose name the parser says.
auto checkNamed(const char* name) {
  return [name](const std::string& word) {
    auto problem = check(std::string(name) + "=" + word);
    auto said = std::string(name) + "=" + word + ": " + name;
    if (problem.compare(0, said.size(), said) != 0) return problem;
    auto rest = problem.substr(said.size());
    const std::string is = " is between";
    return word + (rest.compare(0, is.size(), is) == 0 ? " is not between" + rest.substr(is.size())
                                                       : rest);
  };
}

}  // namespace

void addLimitOptions(CLI::App& command, RawLimits& raw) {
  auto group = "Limits (`ww limits` lists them all)";
  command.add_option("--memory,-m", raw.memory,
                     "Linear memory of a cell; what it starts has a part of it [256m]")
      ->type_name("SIZE")->envname("WW_MEMORY")->group(group)->check(checkNamed("memory"));
  command.add_option("--cpu", raw.cpu, "What a cell may compute; then it ends with 124 [none]")
      ->type_name("DURATION")->envname("WW_CPU")->group(group)->check(checkNamed("cpu"));
  command.add_option("--timeout", raw.timeout,
                     "How long it may run; likewise, and with the image the node [none]")
      ->type_name("DURATION")->envname("WW_TIMEOUT")->group(group)->check(checkNamed("timeout"));
  command.add_option("--max-children", raw.maxChildren,
                     "Cells that run in one session, those that they start among them [64]")
      ->type_name("N")->envname("WW_MAX_CHILDREN")->group(group)->check(checkNamed("descendants"));
  command.add_option("--limit", raw.others,
                     "Any other limit, or several with commas between; may be repeated. A size is\n"
                     "a number and k, m or g, a duration numbers and ns, us, ms, s, m or h")
      ->delimiter(',')->type_name("NAME=VALUE")->envname("WW_LIMIT")->allow_extra_args(false)->group(group)
      ->check(check);
}

NodeLimits makeLimits(const RawLimits& raw) {
  NodeLimits limits;
  auto set = [&](const std::string& text) { setLimit(limits, text.c_str()); };
  if (!raw.memory.empty()) set("memory=" + raw.memory);
  if (!raw.cpu.empty()) set("cpu=" + raw.cpu);
  if (!raw.timeout.empty()) set("timeout=" + raw.timeout);
  if (!raw.maxChildren.empty()) set("descendants=" + raw.maxChildren);
  for (auto& other: raw.others) set(other);
  return limits;
}

}  // namespace ww
