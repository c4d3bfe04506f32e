#pragma once
// What is said of a command's words that are wrong, where CLI11 would not say it, or not well; and
// whose variables count.

#include <CLI/CLI.hpp>
#include <kj/array.h>
#include <kj/string.h>
#include <string>

namespace ww {

// Of the command that the words name the variables count, and of no other. CLI11 would read and
// check those of all.
void readVariablesOf(CLI::App& app, kj::ArrayPtr<const kj::StringPtr> words);

// What else had a say, where something is wrong: the variables that are set of those that count.
std::string namesOfVariables(CLI::App& app);

// A first word that is no command.
kj::Maybe<std::string> findUnknown(CLI::App& app, kj::ArrayPtr<const kj::StringPtr> words);

// Words that no command takes, in the order in which they were given: CLI11 reverses it.
std::string unexpected(const CLI::App& app);

// A command that is one of several, and was not said, or is none of them.
bool isCommandMissing(const CLI::ParseError& error);
std::string missing(const CLI::App& app);

}  // namespace ww
