#include <ww/cli/options.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <sstream>
#include <stdlib.h>
#include <string>
#include <vector>
#include <ww/base/text.h>
#include <ww/cli/common-options.h>
#include <ww/cli/image-options.h>
#include <ww/cli/limit-options.h>
#include <ww/cli/network-options.h>
#include <ww/cli/show.h>
#include <ww/cli/source-options.h>
#include <ww/cli/stem-options.h>
#include <ww/cli/words.h>

namespace ww {
namespace {

constexpr int USAGE_EXIT = 125;  // the node could not do what was asked

constexpr unsigned long MAX_THREADS = 256;

constexpr const char* ABOUT =
    "Wetware: runs untrusted WebAssembly agents, each with the capabilities it was given.";

constexpr const char* TOP_EXAMPLES =
    "Examples:\n"
    "  ww run                           boot the image that is built in\n"
    "  ww run examples/images/shell     boot an image and talk to it\n"
    "  ww exec                          a prompt on the node that runs here\n"
    "  ww ps                            what runs on it\n"
    "  ww keygen me.key                 a key, for nodes elsewhere to allow\n"
    "  ww init hello                    a project of your own, for `ww build` and `ww push`\n"
    "  ww image ls                      the images that are kept here\n"
    "  ww run --help                    all that `run` takes\n";

constexpr const char* RUN_EXAMPLES =
    "A LAYER is a folder, a .wasm file (a WebAssembly component, WASI 0.2), a .car file, content:\n"
    "/ipfs/CID[/PATH], /ipns/NAME or a content id; or, where there is no file or folder of that\n"
    "name, a name that `ww image add --name` gave. A later layer's file takes the place of an\n"
    "earlier one's. Of what they come to, main.wasm is run, or bin/main.wasm; it reads the files\n"
    "as /, and has /tmp in memory. What follows -- goes to it, verbatim, as its arguments.\n"
    "\n"
    "Exit code: the image's own; 125 the node failed, 126 not a component, or one that imports\n"
    "what this host does not have, 127 no such image, 124 out of time (--cpu, --timeout, or not\n"
    "begun within 5 s), 134 it trapped, 128+N ended by signal N.\n"
    "\n"
    "Example:\n"
    "  ww run --env GREETING=hello ./my-image -- --verbose input.txt\n"
    "  ww run --volume /srv/data:/data:rw ./my-image ./local\n"
    "  ww run --memory 64m --timeout 1h --metrics :2030 ./my-image\n"
    "  ww run --listen /ip4/0.0.0.0/tcp/2020 ./my-image\n"
    "  ww run --stem 0x5FbDB2315678afecb367f032d93F642f64180aa3 --rpc-url https://HOST/KEY\n";

constexpr const char* EXEC_EXAMPLES =
    "A node is named by its socket or data folder, by an address that ends in /p2p/PEERID, or by\n"
    "its peer id, where the local node is connected to it or it is on the local network. The\n"
    "local node needs no key; any other takes those alone that its operator allowed.\n"
    "\n"
    "Exit code: the component's own; 125 the node could not be reached, refused, or was lost; 126\n"
    "not a component, or one that imports what the node does not have; 127 no such component; 124\n"
    "out of time: of the node's --cpu or --timeout, to compile, or 5 s to begin; 134 it trapped;\n"
    "137 it was killed (ctrl-C does).\n"
    "\n"
    "Examples:\n"
    "  ww exec ./task.wasm -- input.txt\n"
    "  ww exec --detach ./service.wasm\n"
    "  ww exec --on /ip4/192.0.2.1/tcp/2020/p2p/12D3KooW... --identity me.key ./task.wasm\n";

constexpr const char* KEYGEN_EXAMPLES =
    "Prints the key's name, which a node's operator can allow (`ww run --allow NAME`).\n"
    "\n"
    "Example:\n"
    "  ww keygen me.key\n";

constexpr const char* LIMITS_EXAMPLES =
    "Of a node that `ww run` would start with the same limits; no node is asked. A limit's name\n"
    "is that under which it is refused, logged and counted, but for cellsOfKey and\n"
    "cellsOfNode (as cells), unsentBytesOfClient (unsentBytes) and dialsPerMinute (dials).\n"
    "\n"
    "Example:\n"
    "  ww limits -o json\n"
    "  ww limits --limit resources=20000 --memory 1g\n";

constexpr const char* ABOUT_CELLS =
    "Without the right to the node itself (`--allow KEY,node` there; the owner has it), the cells\n"
    "are those of your own sessions.\n"
    "\n"
    "Example:\n";

struct Raw: RawNetwork, RawCommon {
  RawImage image;
  RawSources sources;
  std::string component;
  RawLimits limits;
  RawStem stem;
  std::vector<std::string> env;
  bool wasmDebug = false;
  bool advanceOnSignal = false;
  std::string metrics;
  std::string threads;
  std::string on;
  std::string identity;
  std::string keyFile;
  std::string output = "text";
  bool detach = false;
  bool follow = false;
  uint64_t cell = 0;
  std::string peer;
};

std::string checkThreads(const std::string& word) {
  bool number = !word.empty() && word.size() < 4 &&
                word.find_first_not_of("0123456789") == word.npos;
  if (number && std::stoul(word) >= 1 && std::stoul(word) <= MAX_THREADS) return std::string();
  return word + " is not between 1 and " + std::to_string(MAX_THREADS);
}

void addEnvOption(CLI::App& run, Raw& raw) {
  run.add_option("--env,-e", raw.env, "A variable for the image; may be repeated")
      ->type_name("KEY=VALUE")->allow_extra_args(false)->check([](const std::string& word) {
        auto end = word.find('=');
        if (end == word.npos) {
          auto shown = escapeText(shorten(kj::str(word.c_str())));
          return std::string(kj::str(shown, " has no `=`: it takes KEY=VALUE").cStr());
        }
        auto text = kj::arrayPtr(word.data(), word.size());
        if (isUtf8(text.asBytes())) return std::string();
        auto name = escapeText(shorten(kj::str(text.slice(0, end))));
        return std::string(kj::str("the variable `", name, "` is not valid UTF-8").cStr());
      });
}

void addRunOptions(CLI::App& run, Raw& raw) {
  addImageOptions(run, raw.image);
  addSourceOptions(run, raw.sources);
  addStoreSizeOption(run, raw.sources);
  addEnvOption(run, raw);
  addCommonOptions(run, raw);
  run.add_flag(
         "--wasm-debug", raw.wasmDebug,
         "Name functions and source lines in a trap's backtrace, where the component has them")
      ->envname("WW_WASM_DEBUG");
  run.add_flag(
         "--advance-on-signal", raw.advanceOnSignal,
         "Move the epoch by one at each SIGUSR1, to see a session end and the image graft again")
      ->envname("WW_ADVANCE_ON_SIGNAL");
  run.add_option("--metrics", raw.metrics,
                 "Serve Prometheus metrics, /healthz and /readyz over HTTP: IP:PORT, or :2030 for\n"
                 "loopback alone [not served]")
      ->type_name("ADDR")->check(isNotEmpty)->envname("WW_METRICS");
  run.add_option("--threads", raw.threads,
                 "Event loops that cells run on, each with a thread of its own [one a core]")
      ->type_name("N")->envname("WW_THREADS")->check(checkThreads);
  addStemOptions(run, raw.stem);
  addLimitOptions(run, raw.limits);
  addNetworkOptions(run, raw);
  run.footer(RUN_EXAMPLES);
}

void addTargetOptions(CLI::App& command, Raw& raw) {
  command.add_option("--on", raw.on, "The node that is meant [the one of the data folder]")
      ->type_name("NODE")->check(isNotEmpty)->envname("WW_ON");
  command.add_option("--identity", raw.identity,
                     "The key to prove, as `ww keygen` makes it [the data folder's]")
      ->type_name("FILE")->check(isNotEmpty)->envname("WW_IDENTITY");
  command.add_option("--dial-timeout", raw.dialTimeout, "After which a dial has failed")
      ->type_name("SECONDS")->envname("WW_DIAL_TIMEOUT")->capture_default_str()
      ->check(checkSeconds);
  addCommonOptions(command, raw);
}

void addOutputOption(CLI::App& command, Raw& raw) {
  command.add_option("-o,--output", raw.output, "How what it prints looks")
      ->type_name("FORMAT")->capture_default_str()->check(CLI::IsMember({"text", "json"}));
}

void addExecOptions(CLI::App& exec, Raw& raw) {
  exec.add_option("COMPONENT", raw.component,
                  "A .wasm file, or a folder with main.wasm [the built-in shell]");
  exec.add_flag("--detach,-d", raw.detach,
                "Print the cell's number and leave it running; `ww logs` shows what it writes");
  addEnvOption(exec, raw);
  addTargetOptions(exec, raw);
  addOutputOption(exec, raw);
  exec.footer(EXEC_EXAMPLES);
}

void addKeygenOptions(CLI::App& keygen, Raw& raw) {
  keygen.add_option("FILE", raw.keyFile, "The file to make; there must be none")->required();
  addOutputOption(keygen, raw);
  keygen.footer(KEYGEN_EXAMPLES);
}

void addLimitsOptions(CLI::App& limits, Raw& raw) {
  addLimitOptions(limits, raw.limits);
  addOutputOption(limits, raw);
  limits.footer(LIMITS_EXAMPLES);
}

Ending list(const Raw& raw) {
  return {0, showLimits(listLimits(makeLimits(raw.limits)), raw.output == "json"), nullptr};
}

RunOptions makeOptions(const Raw& raw, kj::ArrayPtr<const kj::StringPtr> args) {
  RunOptions options;
  setImage(options, raw.image);
  options.sources = makeSourceOptions(raw.sources);
  options.storeBytes = storeBytesOf(raw.sources);
  options.args = KJ_MAP(arg, args) { return kj::str(arg); };
  options.env = strs(raw.env);
  if (!raw.dataDir.empty()) options.dataDir = str(raw.dataDir);
  options.logLevel = str(raw.logLevel);
  options.logFormat = str(raw.logFormat);
  options.wasmDebug = raw.wasmDebug;
  options.advanceOnSignal = raw.advanceOnSignal;
  options.network = makeNetworkOptions(raw);
  options.limits = makeLimits(raw.limits);
  options.allow = strs(raw.allow);
  if (!raw.allowFile.empty()) options.allowFile = str(raw.allowFile);
  if (!raw.metrics.empty()) options.metrics = str(raw.metrics);
  if (!raw.threads.empty()) options.threads = std::stoul(raw.threads);
  options.chain = makeChainOptions(raw.stem);
  options.grace = graceOf(raw.stem);
  return options;
}

void setTarget(TargetOptions& options, const Raw& raw) {
  if (!raw.on.empty()) options.on = str(raw.on);
  if (!raw.identity.empty()) options.identity = str(raw.identity);
  if (!raw.dataDir.empty()) options.dataDir = str(raw.dataDir);
  options.timeout = int64_t(raw.dialTimeout * 1000) * kj::MILLISECONDS;
  options.logLevel = str(raw.logLevel);
  options.logFormat = str(raw.logFormat);
}

AskOptions makeAskOptions(const Raw& raw, AskOptions::What what) {
  AskOptions options;
  setTarget(options, raw);
  options.what = what;
  options.cell = raw.cell;
  options.follow = raw.follow;
  options.peer = str(raw.peer);
  options.json = raw.output == "json";
  return options;
}

// The commands that ask a node something, with what each takes.
class AskCommands {
 public:
  using What = AskOptions::What;

  explicit AskCommands(CLI::App& app) {
    add(app, What::PS, "ps", "List a node's cells", std::string(ABOUT_CELLS) + "  ww ps -o json\n");
    takeCell(add(app, What::KILL, "kill", "End a cell and all that it started",
                 std::string(ABOUT_CELLS) + "  ww kill 7\n"));
    auto& logs = add(app, What::LOGS, "logs", "Show what a detached cell wrote",
                     "The node keeps the last 256 KiB. What other cells write goes to whoever "
                     "started them.\n\nExample:\n  ww logs -f 7\n");
    takeCell(logs);
    logs.app->add_flag("--follow,-f", logs.raw.follow, "Go on until the cell has ended");
    takeCell(add(app, What::INSPECT, "inspect", "Show all that is known of a cell",
                 std::string(ABOUT_CELLS) + "  ww inspect 7\n"));
    add(app, What::CAPS, "caps", "List who holds what: sessions, with their epochs and rights",
        "Takes the right to the node itself (`--allow KEY,node` there; the owner has it).\n\n"
        "Example:\n  ww caps\n");
    add(app, What::EPOCH, "epoch", "Show the current epoch, and where it comes from",
        "Takes the right to the node itself (`--allow KEY,node` there; the owner has it).\n\n"
        "Example:\n  ww epoch -o json\n");
    auto& peer = *app.add_subcommand("peer", "A node's peers");
    peer.require_subcommand(1);
    peer.footer("Example:\n  ww peer ls\n");
    add(peer, What::PEER_ID, "id", "Show the node's own id", "Example:\n  ww peer id\n");
    add(peer, What::PEER_LS, "ls", "List who is connected", "Example:\n  ww peer ls -o json\n");
    takePeer(add(peer, What::PEER_CONNECT, "connect", "Have the node dial a peer",
                 "Example:\n  ww peer connect /ip4/192.0.2.1/tcp/2020/p2p/12D3KooW...\n"),
             "MULTIADDR", "Its address, ending in /p2p/PEERID");
    takePeer(add(peer, What::PEER_PING, "ping", "Measure the time to a connected peer and back",
                 "Takes the right to the node itself.\n\nExample:\n  ww peer ping 12D3KooW...\n"),
             "PEER", "Its id");
  }

  // What was asked, if it was one of these.
  kj::Maybe<AskOptions> findParsed() const {
    for (auto& command: commands) {
      if (command->app->parsed()) return makeAskOptions(command->raw, command->what);
    }
    return nullptr;
  }

 private:
  struct Ask {
    What what;
    CLI::App* app;
    Raw raw;
  };

  Ask& add(CLI::App& parent, What what, const char* name, const char* about,
           const std::string& footer) {
    commands.push_back(std::make_unique<Ask>(Ask{what, parent.add_subcommand(name, about), {}}));
    auto& command = *commands.back();
    command.app->footer(footer);
    addTargetOptions(*command.app, command.raw);
    addOutputOption(*command.app, command.raw);
    return command;
  }
  static void takeCell(Ask& command) {
    command.app->add_option("ID", command.raw.cell, "The cell's number, as `ww ps` lists it")
        ->required()->check([](const std::string& word) {
          bool number = !word.empty() && word.size() < 20 &&
                        word.find_first_not_of("0123456789") == word.npos;
          return number && word != "0" ? std::string()
                                       : word + " is no cell's number, as `ww ps` lists them";
        });
  }
  static void takePeer(Ask& command, const char* name, const char* about) {
    command.app->add_option(name, command.raw.peer, about)->required();
  }

  std::vector<std::unique_ptr<Ask>> commands;
};

ExecOptions makeExecOptions(const Raw& raw, kj::ArrayPtr<const kj::StringPtr> args) {
  ExecOptions options;
  setTarget(options, raw);
  options.detach = raw.detach;
  options.json = raw.output == "json";
  if (!raw.component.empty()) options.component = str(raw.component);
  // Run as a child, the shell is given a Host in place of a Membrane.
  bool shell = raw.component.empty();
  options.args = KJ_MAP(arg, args) { return kj::str(arg); };
  options.env = strs(raw.env);
  if (shell && args.size() == 0) {
    options.args = kj::heapArray<kj::String>(1);
    options.args[0] = kj::str("--host");
  }
  return options;
}

// What CLI11 would not say.
kj::Maybe<kj::String> findMistake(CLI::App& app, kj::ArrayPtr<const kj::StringPtr> words,
                                  kj::ArrayPtr<const kj::StringPtr> args) {
  KJ_IF_MAYBE(problem, findUnknown(app, words)) return str(*problem);
  for (auto word: words) {
    // The next word would be its value, though that be another option.
    KJ_IF_MAYBE(at, word.findFirst('=')) {
      if (!word.startsWith("--") || *at + 1 < word.size()) continue;
      return kj::str(word, " has no value: write one behind the =, or leave the option out\n");
    }
  }
  for (size_t i = 0; i < args.size(); i++) {
    if (isUtf8(args[i].asBytes())) continue;
    return kj::str("argument ", i, " for the image is not valid UTF-8\n");
  }
  return nullptr;
}

// Words that do not go together.
kj::Maybe<kj::String> findMistake(CLI::App& run, const Raw& raw, CLI::App& exec,
                                  const Raw& execRaw) {
  auto imageMistake = findImageMistake(run, raw.image);
  if (imageMistake != nullptr) return imageMistake;
  if (raw.advanceOnSignal && !raw.stem.contract.empty()) {
    return kj::str("--advance-on-signal and --stem each say what moves the epoch: give one of "
                   "the two");
  }
  if (exec.count("COMPONENT") > 0 && execRaw.component.empty()) {
    return kj::str("COMPONENT is empty; leave it out for the shell");
  }
  if (execRaw.detach && execRaw.component.empty()) {
    return kj::str("--detach takes a COMPONENT: the shell is there to be talked to");
  }
  return findStemMistake(raw.stem);
}

// What follows `--` is the image's, whatever it looks like; where none is run, the command's own.
size_t countOwn(kj::ArrayPtr<const kj::StringPtr> words) {
  bool isRun = words.size() > 0 && (words[0] == "run" || words[0] == "exec");
  size_t own = 0;
  while (own < words.size() && !(isRun && words[own] == "--")) own++;
  return own;
}

Ending wrong(CLI::App& app, kj::StringPtr mistake) {
  return Ending{USAGE_EXIT, nullptr, kj::str(mistake, '\n', namesOfVariables(app).c_str())};
}

}  // namespace

Command parseOptions(kj::ArrayPtr<const kj::StringPtr> words) {
  size_t own = countOwn(words);
  auto args = own < words.size() ? words.slice(own + 1, words.size()) : nullptr;

  CLI::App app(ABOUT, "ww");
  app.set_version_flag("--version", "ww " WW_VERSION);
  app.footer(TOP_EXAMPLES);
  app.require_subcommand(1);
  Raw raw;
  auto& run = *app.add_subcommand("run", "Boot an image and run it to its end");
  addRunOptions(run, raw);
  auto& exec = *app.add_subcommand("exec", "Run a component on a node that runs already");
  Raw execRaw, keygenRaw, limitsRaw;
  addExecOptions(exec, execRaw);
  AskCommands asks(app);
  ImageCommands images(app);
  MakeCommands makes(app);
  auto& keygen = *app.add_subcommand("keygen", "Make a key to prove yourself with elsewhere");
  addKeygenOptions(keygen, keygenRaw);
  auto& limits = *app.add_subcommand("limits", "List the limits of a node, with their values");
  addLimitsOptions(limits, limitsRaw);

  KJ_IF_MAYBE(mistake, findMistake(app, words.slice(0, own), args)) {
    return Ending{USAGE_EXIT, nullptr, kj::mv(*mistake)};
  }
  readVariablesOf(app, words.slice(0, own));

  std::vector<std::string> reversed;  // as CLI11 takes them
  for (size_t i = own; i > 0; i--) reversed.emplace_back(words[i - 1].cStr());
  try {
    app.parse(reversed);
  } catch (const CLI::ParseError& error) {
    std::ostringstream out, err;
    int code = app.exit(error, out, err);
    bool isExtra = dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr;
    if (isExtra || isCommandMissing(error)) {
      err.str("");
      err << (isExtra ? unexpected(app) : missing(app));
    }
    if (code != 0) err << namesOfVariables(app);
    bool takesMore = run.parsed() || exec.parsed();
    if (takesMore && isExtra) {
      err << "What is for the component goes behind --.\n";
    }
    return Ending{code == 0 ? 0 : USAGE_EXIT, str(out.str()), str(err.str())};
  }
  KJ_IF_MAYBE(mistake, findMistake(run, raw, exec, execRaw)) {
    return wrong(app, *mistake);
  }
  KJ_IF_MAYBE(mistake, makes.findMistake()) {
    return wrong(app, *mistake);
  }
  if (exec.parsed()) return makeExecOptions(execRaw, args);
  KJ_IF_MAYBE(options, asks.findParsed()) return kj::mv(*options);
  KJ_IF_MAYBE(options, images.findParsed()) return kj::mv(*options);
  KJ_IF_MAYBE(options, makes.findParsed()) return kj::mv(*options);
  if (limits.parsed()) return list(limitsRaw);
  if (keygen.parsed()) return KeygenOptions{str(keygenRaw.keyFile), keygenRaw.output == "json"};
  return makeOptions(raw, args);
}

}  // namespace ww
