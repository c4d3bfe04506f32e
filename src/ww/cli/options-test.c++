#include <ww/cli/options.h>

#include <kj/test.h>
#include <kj/vector.h>
#include <stdlib.h>
#include <utility>

namespace ww {
namespace {

using Words = std::initializer_list<kj::StringPtr>;

// Variables for the time of a test.
class Environment {
 public:
  explicit Environment(std::initializer_list<std::pair<const char*, const char*>> variables) {
    for (auto [name, value]: variables) {
      setenv(name, value, 1);
      names.add(name);
    }
  }
  ~Environment() {
    for (auto name: names) unsetenv(name);
  }
  KJ_DISALLOW_COPY_AND_MOVE(Environment);

 private:
  kj::Vector<const char*> names;
};

RunOptions parse(Words words) {
  auto parsed = parseOptions(kj::arrayPtr(words.begin(), words.size()));
  KJ_IF_MAYBE(ending, parsed.tryGet<Ending>()) KJ_FAIL_ASSERT(ending->toStderr);
  return kj::mv(parsed.get<RunOptions>());
}

Ending end(Words words) {
  auto parsed = parseOptions(kj::arrayPtr(words.begin(), words.size()));
  KJ_ASSERT(parsed.is<Ending>());
  return kj::mv(parsed.get<Ending>());
}

bool has(kj::StringPtr text, kj::StringPtr part) {
  for (size_t i = 0; i + part.size() <= text.size(); i++) {
    if (text.slice(i).startsWith(part)) return true;
  }
  return false;
}

kj::String image(const RunOptions& options) {
  if (options.layers.size() == 0) return kj::str("(built in)");
  return kj::strArray(options.layers, " ");
}

kj::String dataDir(const RunOptions& options) {
  KJ_IF_MAYBE(dir, options.dataDir) return kj::str(*dir);
  return kj::str("(default)");
}

KJ_TEST("without words: the defaults") {
  auto options = parse({"run"});
  KJ_EXPECT(image(options) == "(built in)");
  KJ_EXPECT(dataDir(options) == "(default)");
  KJ_EXPECT(options.logLevel == "info");
  KJ_EXPECT(options.logFormat == "text");
  KJ_EXPECT(!options.wasmDebug && !options.advanceOnSignal);
  KJ_EXPECT(options.args.size() == 0 && options.env.size() == 0);
}

KJ_TEST("a variable is stronger than the default, a flag than the variable") {
  Environment environment{{"WW_IMAGE", "env-image"},
                          {"WW_DATA_DIR", "env-dir"},
                          {"WW_LOG_LEVEL", "debug"},
                          {"WW_LOG_FORMAT", "json"},
                          {"WW_WASM_DEBUG", "true"},
                          {"WW_ADVANCE_ON_SIGNAL", "1"}};
  auto options = parse({"run"});
  KJ_EXPECT(image(options) == "env-image");
  KJ_EXPECT(dataDir(options) == "env-dir");
  KJ_EXPECT(options.logLevel == "debug");
  KJ_EXPECT(options.logFormat == "json");
  KJ_EXPECT(options.wasmDebug && options.advanceOnSignal);

  auto flags = parse({"run", "--data-dir", "dir", "--log-level=error", "--log-format", "text",
                      "--wasm-debug=false", "--advance-on-signal=false", "image"});
  KJ_EXPECT(image(flags) == "image");
  KJ_EXPECT(dataDir(flags) == "dir");
  KJ_EXPECT(flags.logLevel == "error");
  KJ_EXPECT(flags.logFormat == "text");
  KJ_EXPECT(!flags.wasmDebug && !flags.advanceOnSignal);
}

KJ_TEST("there is a network when somebody asks for one, and does not forbid it") {
  KJ_EXPECT(!parse({"run"}).network.enabled);
  KJ_EXPECT(!parse({"run", "--dial-private", "--no-mdns"}).network.enabled);
  auto options = parse({"run", "--listen", "/ip4/127.0.0.1/tcp/0", "image", "--listen=/memory/1",
                        "--bootstrap", "b", "--dial-timeout", "2.5", "--dht", "server"});
  KJ_EXPECT(options.network.enabled && options.network.mdns && !options.network.dialPrivate);
  KJ_EXPECT(kj::strArray(options.network.listen, "|") == "/ip4/127.0.0.1/tcp/0|/memory/1");
  KJ_EXPECT(kj::strArray(options.network.bootstrap, "|") == "b");
  KJ_EXPECT(options.network.dialTimeout == 2500 * kj::MILLISECONDS);
  KJ_EXPECT(options.network.dht == "server");
  KJ_EXPECT(image(options) == "image");
  KJ_EXPECT(parse({"run", "--bootstrap", "b"}).network.enabled);
  KJ_EXPECT(parse({"run", "--private-network", "file"}).network.enabled);
  KJ_EXPECT(!parse({"run", "--listen", "x", "--no-network"}).network.enabled);
  KJ_EXPECT(!parse({"run", "--listen", "x", "--no-mdns"}).network.mdns);
  KJ_EXPECT(parse({"run", "--listen", "x", "--dial-private"}).network.dialPrivate);
}

KJ_TEST("--rpc is no network, and --no-network forbids it") {
  auto rpc = [](Words words) { return parse(words).network.rpc.orDefault(kj::str("none")); };
  KJ_EXPECT(rpc({"run"}) == "none");
  KJ_EXPECT(rpc({"run", "--rpc", ":2021"}) == ":2021");
  KJ_EXPECT(!parse({"run", "--rpc", ":2021"}).network.enabled);
  KJ_EXPECT(rpc({"run", "--rpc", ":2021", "--no-network"}) == "none");
  Environment environment{{"WW_RPC", "127.0.0.1:7"}};
  KJ_EXPECT(rpc({"run"}) == "127.0.0.1:7");
}

KJ_TEST("how many loops there are") {
  KJ_EXPECT(parse({"run"}).threads == nullptr);
  KJ_EXPECT(KJ_ASSERT_NONNULL(parse({"run", "--threads", "3"}).threads) == 3);
  for (auto word: {"0", "257", "x", "-1", "1.5", "000"}) {
    auto said = end({"run", "--threads", word}).toStderr;
    KJ_EXPECT(has(said, "is not between 1 and 256"), said);
  }
  Environment environment{{"WW_THREADS", "5"}};
  KJ_EXPECT(KJ_ASSERT_NONNULL(parse({"run"}).threads) == 5);
}

KJ_TEST("layers in their order, and volumes") {
  auto options = parse({"run", "base", "-v", "/a:b/c:/d:rw", "app", "--volume=x:/y", "./local"});
  KJ_EXPECT(image(options) == "base app ./local");
  KJ_ASSERT(options.volumes.size() == 2);
  KJ_EXPECT(options.volumes[0].host == "/a:b/c" && options.volumes[0].guest == "/d");
  KJ_EXPECT(options.volumes[0].writable && !options.volumes[1].writable);
}

KJ_TEST("what follows -- is the image's, whatever it looks like") {
  auto options = parse({"run", "image", "--", "--help", "", "--", "-e", "X"});
  KJ_ASSERT(options.args.size() == 5);
  KJ_EXPECT(kj::strArray(options.args, "|") == "--help||--|-e|X");
  KJ_EXPECT(image(parse({"run", "--", "image"})) == "(built in)");
}

KJ_TEST("--env repeats, takes one word, and keeps it as it is") {
  auto options = parse({"run", "-e", "A=1", "image", "--env", "B=", "--env=C=x=y z"});
  KJ_EXPECT(kj::strArray(options.env, "|") == "A=1|B=|C=x=y z");
  KJ_EXPECT(image(options) == "image");
}

constexpr kj::StringPtr CONTRACT = "0x5FbDB2315678afecb367f032d93F642f64180aa3"_kj;

KJ_TEST("whose head is followed") {
  auto options = parse({"run", "--stem", CONTRACT, "--rpc-url", "http://one/KEY", "--rpc-url",
                      "wss://two", "--finality", "depth:7", "--quorum", "2", "--chain-id", "5",
                      "--chain-interval", "1s", "--grace", "0", "--stay"});
  auto& chain = KJ_ASSERT_NONNULL(options.chain);
  KJ_EXPECT(chain.contract.bytes[0] == 0x5f && chain.contract.bytes[19] == 0xa3);
  KJ_EXPECT(kj::strArray(chain.providers, " ") == "http://one/KEY wss://two");
  KJ_EXPECT(chain.finality.kind == Finality::DEPTH && chain.finality.depth == 7);
  KJ_EXPECT(KJ_ASSERT_NONNULL(chain.quorum) == 2);
  KJ_EXPECT(KJ_ASSERT_NONNULL(chain.chainId) == 5);
  KJ_EXPECT(chain.interval == 1 * kj::SECONDS);
  KJ_EXPECT(options.grace == 0 * kj::SECONDS);
  KJ_EXPECT(chain.stay && !chain.forget);
  KJ_EXPECT(parse({"run"}).chain == nullptr);
  KJ_EXPECT(parse({"run"}).grace == 5 * kj::SECONDS);
  kj::String urls[] = {kj::str("http://h/a"), kj::str("wss://h/b"), kj::str("http://h/c")};
  KJ_EXPECT(kj::strArray(providerNames(urls), " ") == "http://h#1 wss://h http://h#2");
}

KJ_TEST("words that are wrong: 125, nothing on stdout, and what was wrong") {
  struct {
    std::initializer_list<kj::StringPtr> words;
    kj::StringPtr named;
  } cases[] = {{{}, "ww: a command is missing; it takes run, exec, ps, "},
               {{"peer", "lookup"},
                "ww peer: no such command: lookup; it takes id, ls, connect, ping\n"},
               {{"image"}, "ww image: a command is missing; it takes ls, "},
               {{"-x"}, "The following argument was not expected: -x\n"},
               {{"walk"}, "ww: no such command: walk; it takes run, exec, ps, "},
               {{"./walk"}, "\nTo boot an image: ww run ./walk\n"},
               {{"run", "--what"}, "--what"},
               {{"run", "--log-level", "loud"}, "loud"},
               {{"run", "--log-format", "xml"}, "xml"},
               {{"run", "--dht", "maybe"}, "maybe"},
               {{"run", "--dial-timeout", "0"}, "--dial-timeout"},
               {{"run", "--data-dir"}, "--data-dir"},
               {{"run", "--env"}, "--env"},
               {{"run", "--memory", "0"}, "0 is not between 64k and 1024g"},
               {{"run", "--memory", "much"}, "much takes a size: a whole number and k, m or g"},
               {{"run", "--cpu", "-1s"}, "-1s takes a duration"},
               {{"run", "--max-children", "x"}, "x takes a number"},
               {{"run", "--limit", "resources"}, "resources has no `=`: it takes NAME=VALUE"},
               {{"run", "--limit", "wishes=3"}, "there is no such limit; `ww limits` lists them"},
               {{"run", "--limit", "exports=1"}, "exports is between 16 and 10000000"},
               {{"run", "--stem", "0x12"}, "0x12 is no address of a contract"},
               {{"run", "--stem", CONTRACT}, "--stem takes a provider of its chain: --rpc-url"},
               {{"run", "--rpc-url", "http://h"}, "--rpc-url is for --stem"},
               {{"run", "--stem", CONTRACT, "--rpc-url", "http://h", "--quorum", "2"},
                "--quorum 2: so many providers cannot agree; --rpc-url names 1"},
               {{"run", "--quorum", "1"}, "--quorum is for --stem, which is not given"},
               {{"run", "--finality", "safe"}, "--finality is for --stem"},
               {{"run", "--chain-id", "5"}, "--chain-id is for --stem"},
               {{"run", "--chain-interval", "5s"}, "--chain-interval is for --stem"},
               {{"run", "--stay"}, "--stay is for --stem"},
               {{"run", "--forget-epoch"}, "--forget-epoch is for --stem"},
               {{"run", "--chain-id", "0"}, "0 is no chain's id: a number from 1"},
               {{"run", "--chain-interval", "5"}, "5 is no duration, such as 4s"},
               {{"keygen", "me.key", "more", "1", "16"},
                "The following arguments were not expected: more 1 16\n"},
               {{"ps", "more"}, "The following argument was not expected: more\n"},
               {{"run", "--volume", "/srv"}, "/srv: no volume; it takes HOST:GUEST"},
               {{"run", "-v", "/srv:/"}, "/ in the cell is the image's own"},
               {{"run", "-v"}, "--volume: 1 required HOST:GUEST[:ro|rw] missing"},
               {{"run", "--stem", CONTRACT, "--rpc-url", "ftp://h/SECRET"}, "not by ftp"},
               {{"run", "--finality", "soon"}, "none of finalized, safe and depth:K"},
               {{"run", "--chain-interval", "1ms"}, "not between 100ms and 10m"},
               {{"run", "--grace", "long"}, "long is no duration"},
               {{"run", "--env", "A=1", "-e", "X"}, "--env: X has no `=`: it takes KEY=VALUE"},
               {{"run", "-e", "X\x1b[2J\xff"}, "--env: X\\x1b[2J\\xff has no `=`"},
               {{"run", "-e", "A=\xff"}, "--env: the variable `A` is not valid UTF-8"},
               {{"exec", "-e", "\xc3=1"}, "--env: the variable `\\xc3` is not valid UTF-8"}};
  for (auto& c: cases) {
    auto ending = end(c.words);
    KJ_EXPECT(ending.exitCode == 125, c.named);
    KJ_EXPECT(ending.toStdout == "", ending.toStdout);
    KJ_EXPECT(has(ending.toStderr, c.named), c.named, ending.toStderr);
  }
  Environment environment{{"WW_LOG_LEVEL", "loud"}};
  KJ_EXPECT(has(end({"run"}).toStderr, "loud"));
}

KJ_TEST("help and version go to stdout; each command's help has an example") {
  for (Words words: {Words{"--help"}, Words{"run", "--help"}, Words{"run", "-h"},
                     Words{"exec", "--help"}, Words{"keygen", "-h"}, Words{"ps", "-h"},
                     Words{"kill", "-h"}, Words{"logs", "-h"}, Words{"inspect", "-h"},
                     Words{"caps", "-h"}, Words{"epoch", "-h"}, Words{"limits", "-h"},
                     Words{"peer", "-h"},
                     Words{"peer", "id", "-h"}, Words{"peer", "ls", "-h"},
                     Words{"peer", "connect", "-h"}, Words{"peer", "ping", "-h"}}) {
    auto ending = end(words);
    KJ_EXPECT(ending.exitCode == 0);
    KJ_EXPECT(ending.toStderr == "");
    KJ_EXPECT(has(ending.toStdout, "Example"), ending.toStdout);
  }
  auto help = end({"run", "--help"});
  for (auto option: {"--env", "--data-dir", "--log-level", "--log-format", "--wasm-debug",
                     "--advance-on-signal", "--listen", "--bootstrap", "--private-network",
                     "--no-network", "--dial-private", "--dial-timeout", "WW_LISTEN", "WW_IMAGE",
                     "WW_DATA_DIR", "WW_LOG_LEVEL"}) {
    KJ_EXPECT(has(help.toStdout, option), option);
  }
  auto version = end({"--version"});
  KJ_EXPECT(version.exitCode == 0 && version.toStdout.startsWith("ww "), version.toStdout);
}

KJ_TEST("what prints data prints it as JSON, too") {
  for (Words words: {Words{"exec"}, Words{"ps"}, Words{"kill"}, Words{"logs"}, Words{"inspect"},
                     Words{"caps"}, Words{"epoch"}, Words{"peer", "id"}, Words{"peer", "ls"},
                     Words{"peer", "connect"}, Words{"peer", "ping"}, Words{"image", "ls"},
                     Words{"image", "add"}, Words{"image", "rm"}, Words{"image", "pin"},
                     Words{"image", "unpin"}, Words{"image", "gc"}, Words{"image", "verify"},
                     Words{"image", "export"}, Words{"init"}, Words{"build"}, Words{"sdk-path"},
                     Words{"push"}, Words{"stem", "set-head"}, Words{"keygen"}, Words{"limits"}}) {
    kj::Vector<kj::StringPtr> asked;
    asked.addAll(words);
    asked.add("--help");
    auto help = parseOptions(asked).get<Ending>().toStdout;
    KJ_EXPECT(has(help, "--output"), help);
  }
}

KJ_TEST("the variables of another command have no say") {
  Environment environment{{"WW_MEMORY", "zz"}, {"WW_STEM", "zz"}, {"WW_DIAL_TIMEOUT", "zz"},
                          {"IPFS_API", "zz"}};
  auto ls = parseOptions({{"image"_kj, "ls"_kj}});
  KJ_EXPECT(ls.is<ImageOptions>());
  auto limits = end({"limits"}).toStderr;
  KJ_EXPECT(has(limits, "--memory: zz takes a size"), limits);
  KJ_EXPECT(has(limits, "Taken from the environment: WW_MEMORY.\n"), limits);
  auto ps = end({"ps"}).toStderr;
  KJ_EXPECT(has(ps, "zz is not between"), ps);
  KJ_EXPECT(has(ps, "Taken from the environment: WW_DIAL_TIMEOUT.\n"), ps);
  auto ping = end({"peer", "ping", "x"}).toStderr;
  KJ_EXPECT(has(ping, "Taken from the environment: WW_DIAL_TIMEOUT.\n"), ping);
}

KJ_TEST("exec: where, what, and its words; without a component the shell, as a child") {
  auto exec = [](Words words) {
    auto parsed = parseOptions(kj::arrayPtr(words.begin(), words.size()));
    return kj::mv(parsed.get<ExecOptions>());
  };
  auto options = exec({"exec", "--on", "/ip4/192.0.2.1/tcp/1/p2p/X", "--identity", "key", "-e",
                       "A=1", "task.wasm", "--", "--on", "x"});
  KJ_EXPECT(KJ_ASSERT_NONNULL(options.on) == "/ip4/192.0.2.1/tcp/1/p2p/X");
  KJ_EXPECT(KJ_ASSERT_NONNULL(options.identity) == "key");
  KJ_EXPECT(KJ_ASSERT_NONNULL(options.component) == "task.wasm");
  KJ_EXPECT(kj::strArray(options.args, "|") == "--on|x");
  KJ_EXPECT(kj::strArray(options.env, "|") == "A=1");
  auto shell = exec({"exec"});
  KJ_EXPECT(shell.component == nullptr && shell.on == nullptr);
  KJ_EXPECT(kj::strArray(shell.args, "|") == "--host");
  KJ_EXPECT(has(end({"exec", ""}).toStderr, "COMPONENT is empty"));
  KJ_EXPECT(exec({"exec", "-d", "task.wasm"}).detach);
  KJ_EXPECT(has(end({"exec", "--detach"}).toStderr, "--detach takes a COMPONENT"));
}

KJ_TEST("what a node is asked") {
  using What = AskOptions::What;
  auto ask = [](Words words) {
    auto parsed = parseOptions(kj::arrayPtr(words.begin(), words.size()));
    return kj::mv(parsed.get<AskOptions>());
  };
  auto logs = ask({"logs", "-f", "7", "--on", "x", "-o", "json"});
  KJ_EXPECT(logs.what == What::LOGS && logs.cell == 7 && logs.follow && logs.json);
  KJ_EXPECT(KJ_ASSERT_NONNULL(logs.on) == "x");
  KJ_EXPECT(ask({"ps"}).what == What::PS && !ask({"ps"}).json);
  KJ_EXPECT(ask({"kill", "7"}).what == What::KILL);
  KJ_EXPECT(ask({"inspect", "7"}).what == What::INSPECT);
  KJ_EXPECT(ask({"caps"}).what == What::CAPS);
  KJ_EXPECT(ask({"peer", "id"}).what == What::PEER_ID);
  KJ_EXPECT(ask({"peer", "ls"}).what == What::PEER_LS);
  KJ_EXPECT(ask({"peer", "connect", "/ip4/x"}).peer == "/ip4/x");
  KJ_EXPECT(ask({"peer", "ping", "12D3"}).what == What::PEER_PING);
  Environment environment({{"WW_DATA_DIR", "elsewhere"}});
  KJ_EXPECT(KJ_ASSERT_NONNULL(ask({"peer", "ls", "--data-dir", "here"}).dataDir) == "here");
  KJ_EXPECT(KJ_ASSERT_NONNULL(ask({"peer", "ls"}).dataDir) == "elsewhere");
  for (auto wrong: {"-1", "0", "x", "99999999999999999999"}) {
    KJ_EXPECT(end({"kill", wrong}).exitCode == 125, wrong);
  }
  KJ_EXPECT(end({"kill"}).exitCode == 125);
  KJ_EXPECT(end({"peer"}).exitCode == 125);
}

KJ_TEST("keygen takes a file") {
  auto parsed = parseOptions({{"keygen"_kj, "me.key"_kj, "-o"_kj, "json"_kj}});
  KJ_EXPECT(parsed.get<KeygenOptions>().file == "me.key");
  KJ_EXPECT(parsed.get<KeygenOptions>().json);
  KJ_EXPECT(has(end({"keygen"}).toStderr, "FILE"));
}

KJ_TEST("an empty image, and arguments that are no text, are refused") {
  auto refused = [](kj::ArrayPtr<const kj::StringPtr> words) {
    auto parsed = parseOptions(words);
    auto& ending = parsed.get<Ending>();
    KJ_EXPECT(ending.exitCode == 125);
    return kj::mv(ending.toStderr);
  };
  KJ_EXPECT(refused({{"run"_kj, ""_kj}}).startsWith("a LAYER is empty"));
  KJ_EXPECT(refused({{"run"_kj, "x"_kj, ""_kj}}).startsWith("a LAYER is empty"));
  KJ_EXPECT(refused({{"run"_kj, "x"_kj, "--"_kj, "a"_kj, "\xff"_kj}}).startsWith("argument 1 "));
}

KJ_TEST("an option whose value is empty takes no other word for it") {
  for (Words words: {Words{"image", "pin", "app", "--name=", "--data-dir", "/there"},
                     Words{"image", "ls", "--log-level=", "--data-dir", "/there"},
                     Words{"run", "--data-dir=", "app"}}) {
    auto ending = end(words);
    KJ_EXPECT(ending.exitCode == 125 && has(ending.toStderr, "= has no value"), ending.toStderr);
  }
  KJ_EXPECT(image(parse({"run", "app", "--env=A=", "--", "--name="})) == "app");
}

}  // namespace
}  // namespace ww
