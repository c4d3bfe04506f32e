#include "words.h"

#include <kj/vector.h>

namespace ww {
namespace {

class Splitter {
 public:
  explicit Splitter(kj::StringPtr line): rest(line) {}

  kj::OneOf<kj::Array<kj::String>, kj::StringPtr> split() {
    while (rest.size() > 0) {
      char c = take();
      if (c == ' ' || c == '\t') {
        endWord();
      } else if (c == '\'') {
        if (!takeLiteral()) return "unterminated single quote"_kj;
      } else if (c == '"') {
        if (!takeQuoted()) return "unterminated double quote"_kj;
      } else if (c == '\\') {
        if (rest.size() == 0) return "nothing after the last backslash"_kj;
        add(take());
      } else {
        add(c);
      }
    }
    endWord();
    return words.releaseAsArray();
  }

 private:
  kj::StringPtr rest;
  kj::Vector<kj::String> words;
  kj::Vector<char> word;
  bool inWord = false;  // an empty quote makes an empty word

  char take() {
    char c = rest[0];
    rest = rest.slice(1);
    return c;
  }
  void add(char c) {
    word.add(c);
    inWord = true;
  }
  void endWord() {
    if (inWord) words.add(kj::str(word.asPtr()));
    word.clear();
    inWord = false;
  }
  bool takeLiteral() {
    inWord = true;
    while (rest.size() > 0) {
      char c = take();
      if (c == '\'') return true;
      word.add(c);
    }
    return false;
  }
  bool takeQuoted() {
    inWord = true;
    while (rest.size() > 0) {
      char c = take();
      if (c == '"') return true;
      if (c == '\\' && rest.size() > 0 && (rest[0] == '"' || rest[0] == '\\')) c = take();
      word.add(c);
    }
    return false;
  }
};

}  // namespace

kj::OneOf<kj::Array<kj::String>, kj::StringPtr> splitWords(kj::StringPtr line) {
  return Splitter(line).split();
}

}  // namespace ww
