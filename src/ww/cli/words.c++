#include <ww/cli/words.h>

#include <stdlib.h>
#include <vector>

namespace ww {
namespace {

constexpr const char* MORE = "\nRun with --help for more information.\n";

bool isAny(const CLI::App*) { return true; }

std::string whatItTakes(const CLI::App& app) {
  std::string text = "; it takes";
  const char* between = " ";
  for (auto command: app.get_subcommands(isAny)) {
    text += between + command->get_name();
    between = ", ";
  }
  return text;
}

std::string unknown(const std::string& name, const std::string& word, const CLI::App& app) {
  return name + ": no such command: " + word + whatItTakes(app);
}

template <typename Action>
void forEachOption(CLI::App& app, Action action) {
  for (auto option: app.get_options()) action(*option);
  for (auto command: app.get_subcommands(isAny)) forEachOption(*command, action);
}

}  // namespace

void readVariablesOf(CLI::App& app, kj::ArrayPtr<const kj::StringPtr> words) {
  for (auto command: app.get_subcommands(isAny)) {
    if (words.size() > 0 && words[0] == command->get_name().c_str()) {
      readVariablesOf(*command, words.slice(1, words.size()));
    } else {
      forEachOption(*command, [](CLI::Option& option) { option.envname(""); });
    }
  }
}

std::string namesOfVariables(CLI::App& app) {
  std::string names;
  forEachOption(app, [&](CLI::Option& option) {
    auto name = option.get_envname();
    if (name.empty() || getenv(name.c_str()) == nullptr) return;
    names += (names.empty() ? "" : ", ") + name;
  });
  return names.empty() ? names : "Taken from the environment: " + names + ".\n";
}

kj::Maybe<std::string> findUnknown(CLI::App& app, kj::ArrayPtr<const kj::StringPtr> words) {
  if (words.size() == 0 || words[0].startsWith("-")) return nullptr;
  std::string word = words[0].cStr();
  for (auto command: app.get_subcommands(isAny)) {
    if (word == command->get_name()) return nullptr;
  }
  return unknown(app.get_name(), word, app) + "\nTo boot an image: ww run " + word + MORE;
}

std::string unexpected(const CLI::App& app) {
  auto words = app.remaining(true);
  std::string text = words.size() > 1 ? "The following arguments were not expected:"
                                      : "The following argument was not expected:";
  for (auto& word: words) text += " " + word;
  return text + MORE;
}

bool isCommandMissing(const CLI::ParseError& error) {
  return std::string(error.what()).find("subcommand is required") != std::string::npos;
}

std::string missing(const CLI::App& app) {
  auto at = &app;
  std::string name = app.get_name();
  for (auto parsed = at->get_subcommands(); !parsed.empty(); parsed = at->get_subcommands()) {
    at = parsed[0];
    name += " " + at->get_name();
  }
  auto words = app.remaining(true);
  if (words.empty()) return name + ": a command is missing" + whatItTakes(*at) + MORE;
  if (words[0].starts_with("-")) return unexpected(app);
  return unknown(name, words[0], *at) + MORE;
}

}  // namespace ww
