#include <ww/cli/make-options.h>

#include <kj/debug.h>
#include <stdlib.h>
#include <string>
#include <ww/base/error.h>
#include <ww/base/quantity.h>
#include <ww/cli/common-options.h>
#include <ww/cli/network-options.h>
#include <ww/cli/run.h>
#include <ww/cli/source-options.h>
#include <ww/cli/stderr-logger.h>
#include <ww/cli/stem-options.h>
#include <ww/node/image-tree.h>
#include <ww/node/kubo-import.h>

namespace ww {
namespace {

constexpr const char* INIT_EXAMPLES =
    "Nothing that is there is overwritten. The project's README has its commands.\n"
    "\n"
    "Example:\n"
    "  ww init hello && cd hello && ww build && ww run image\n";

constexpr const char* BUILD_EXAMPLES =
    "Prints where the image is: DIR/image, with main.wasm, etc and lib. In C++ it takes the SDK,\n"
    "cmake, ninja and clang 22 for wasm32-wasi; in Rust the target wasm32-wasip2.\n"
    "\n"
    "Examples:\n"
    "  ww build\n"
    "  ww run $(ww build hello)\n";

constexpr const char* SDK_EXAMPLES = "Example:\n  ww sdk-path\n";

constexpr const char* PUSH_EXAMPLES =
    "The node keeps and pins it. With --stem it then is the head of that contract, which is how\n"
    "an image is deployed: nodes that follow it without an IMAGE of their own fetch it, and boot\n"
    "it as the next epoch, once the head is final.\n"
    "\n"
    "Prints the content id. Exit code: 125 it could not be done, 127 no such image.\n"
    "\n"
    "Examples:\n"
    "  ww push image\n"
    "  ww push --to http://127.0.0.1:5001 app.car\n"
    "  ww push --to swarm image\n"
    "  ww push --to /ip4/192.0.2.1/tcp/2020/p2p/12D3KooW... --identity me.key image\n"
    "  ww push image --stem 0x5FbDB2315678afecb367f032d93F642f64180aa3 \\\n"
    "    --key deployer.key --rpc-url https://HOST/KEY\n";

constexpr const char* SET_HEAD_EXAMPLES =
    "Sends one transaction, signed with the owner's key, and waits until a block has it. Prints\n"
    "the number of the epoch that the head will be once it is final.\n"
    "\n"
    "Example:\n"
    "  ww stem set-head 0x5FbDB2315678afecb367f032d93F642f64180aa3 CID \\\n"
    "    --key deployer.key --rpc-url https://HOST/KEY\n";

constexpr uint64_t MAX_FEE_GWEI = 1'000'000;  // a thousandth of an ether a unit of gas

kj::String text(const std::string& word) { return kj::heapString(word.data(), word.size()); }

std::string checkWait(const std::string& word) {
  return parseDuration(word.c_str()) != nullptr ? "" : word + " is no duration, such as 90s";
}

// What `take` throws is what is wrong.
template <typename Take>
std::string problemOf(Take take) {
  std::string problem;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() { take(); })) {
    problem = e->getDescription().cStr();
  }
  return problem;
}

std::string checkProvider(const std::string& word) {
  return problemOf([&]() { requireProviderUrl(word.c_str()); });
}

constexpr const char* SWARM = "swarm";

// A node of ww, and not the RPC of a Kubo node.
bool isPeer(const std::string& word) {
  return word.find("/p2p/") != word.npos || PeerId::parseText(word.c_str()) != nullptr;
}

std::string checkReceiver(const std::string& word) {
  if (word == SWARM || isPeer(word)) return "";
  return problemOf([&]() { readKuboUrl(word.c_str()); });
}

void addOutput(CLI::App& command, std::string& output) {
  command.add_option("-o,--output", output, "How what it prints looks")
      ->type_name("FORMAT")->capture_default_str()->check(CLI::IsMember({"text", "json"}));
}

void addSdk(CLI::App& command, std::string& sdk) {
  command.add_option("--sdk", sdk, "Where the SDK is [that of this program]")
      ->type_name("DIR")->envname("WW_SDK");
}

kj::Maybe<kj::String> given(const std::string& word) {
  if (word.empty()) return nullptr;
  return text(word);
}

}  // namespace

struct MakeCommands::RawHead {
  std::string contract, key, provider, wait = "5m";
  uint64_t chainId = 0;  // 0: not given
  uint64_t maxFee = 500;
  std::vector<const CLI::Option*> ofHead;
};

struct MakeCommands::Raw {
  struct Local {
    std::string dir = ".", sdk, output = "text";
    bool rust = false;
  };
  CLI::App* init;
  CLI::App* build;
  CLI::App* sdkPath;
  CLI::App* push;
  CLI::App* setHead;
  Local initWords, buildWords, sdkWords;
  std::string image, to = "http://127.0.0.1:5001", wait = "1m", cid;
  std::string identity;
  double dialTimeout = 10;
  std::string pushOutput = "text", setHeadOutput = "text";
  RawHead pushHead, setHeadHead;
  RawCommon pushCommon;
  RawSources sources;
};

MakeCommands::MakeCommands(CLI::App& app): raw(std::make_unique<Raw>()) {
  addLocal(app);
  addPush(app);
  addSetHead(app);
}

MakeCommands::~MakeCommands() noexcept(false) {}

void MakeCommands::addLocal(CLI::App& app) {
  raw->init = app.add_subcommand("init", "Lay down the project of a guest");
  raw->init->add_option("DIR", raw->initWords.dir, "The folder")->capture_default_str();
  raw->init->add_flag("--rust", raw->initWords.rust, "In Rust, and not in C++");
  addOutput(*raw->init, raw->initWords.output);
  raw->init->footer(INIT_EXAMPLES);

  raw->build = app.add_subcommand("build", "Make the image of such a project");
  raw->build->add_option("DIR", raw->buildWords.dir, "The project")->capture_default_str();
  addSdk(*raw->build, raw->buildWords.sdk);
  addOutput(*raw->build, raw->buildWords.output);
  raw->build->footer(BUILD_EXAMPLES);

  raw->sdkPath = app.add_subcommand("sdk-path", "Show where the SDK is that guests are built with");
  addSdk(*raw->sdkPath, raw->sdkWords.sdk);
  addOutput(*raw->sdkPath, raw->sdkWords.output);
  raw->sdkPath->footer(SDK_EXAMPLES);
}

void MakeCommands::addHeadOptions(CLI::App& command, RawHead& raw, bool isNeeded) {
  auto add = [&](auto* option) {
    raw.ofHead.push_back(option);
    return isNeeded ? option : option->group("The head of a contract");
  };
  auto key = add(command.add_option("--key", raw.key,
                     "The key of the contract's owner: a file of 64 hex digits, with mode 0600"))
      ->type_name("FILE");
  auto provider = add(command.add_option("--rpc-url", raw.provider,
                     "A provider of its chain, by http, https, ws or wss"))
      ->type_name("URL")->envname("WW_RPC_URL")->check(checkProvider);
  add(command.add_option("--chain-id", raw.chainId, "Refuse a provider of any other chain"))
      ->type_name("N")->envname("WW_CHAIN_ID")->check(checkChainId);
  add(command.add_option("--max-fee", raw.maxFee, "The most that is offered for a unit of gas"))
      ->type_name("GWEI")->capture_default_str()->check(CLI::Range(uint64_t(1), MAX_FEE_GWEI));
  add(command.add_option("--wait", raw.wait, "So long the transaction may be in no block"))
      ->type_name("DURATION")->capture_default_str()->check(checkWait);
  if (!isNeeded) return;
  key->required();
  provider->required();
}

void MakeCommands::addPush(CLI::App& app) {
  auto& push = *app.add_subcommand("push", "Hand an image to a node that keeps it; deploy it");
  raw->push = &push;
  push.add_option("IMAGE", raw->image,
                  "A folder, as `ww build` makes it, a .car file, or what else `ww run` takes")
      ->required();
  push.add_option("--to", raw->to,
                  "The RPC of a Kubo-compatible node; the address of a node, or its peer id: it\n"
                  "fetches and pins it, for a key that it allows with ,node; or `swarm`: it is\n"
                  "kept and pinned here, and the node of this data folder offers it to its peers")
      ->type_name("URL|PEER|swarm")->envname("IPFS_API")->capture_default_str()
      ->check(checkReceiver);
  push.add_option("--identity", raw->identity,
                  "The key to prove to a node, as `ww keygen` makes it [the data folder's]")
      ->type_name("FILE")->check(isNotEmpty)->envname("WW_IDENTITY");
  push.add_option("--dial-timeout", raw->dialTimeout, "After which a dial of a node has failed")
      ->type_name("SECONDS")->envname("WW_DIAL_TIMEOUT")->capture_default_str()
      ->check(checkSeconds);
  push.add_option("--timeout", raw->wait,
                  "So long the node may take nothing, and then its answer may take")
      ->type_name("DURATION")->capture_default_str()->check(checkWait);
  push.add_option("--stem", raw->pushHead.contract, "Then set the head of this contract to it")
      ->type_name("ADDRESS")->check(checkAddress)->group("The head of a contract");
  addHeadOptions(push, raw->pushHead, false);
  addCommonOptions(push, raw->pushCommon);
  addSourceOptions(push, raw->sources);
  addStoreSizeOption(push, raw->sources);
  addOutput(push, raw->pushOutput);
  push.footer(PUSH_EXAMPLES);
}

void MakeCommands::addSetHead(CLI::App& app) {
  auto& stem = *app.add_subcommand("stem", "The contract whose head nodes follow");
  stem.require_subcommand(1);
  stem.footer(SET_HEAD_EXAMPLES);
  auto& set = *stem.add_subcommand("set-head", "Set the contract's head to an image");
  raw->setHead = &set;
  set.add_option("ADDRESS", raw->setHeadHead.contract, "The contract")
      ->required()->check(checkAddress);
  set.add_option("CID", raw->cid, "The image's content id, as `ww push` prints it")
      ->required()->check([](const std::string& word) {
        return problemOf([&]() { Cid::parse(word.c_str()); });
      });
  addHeadOptions(set, raw->setHeadHead, true);
  addOutput(set, raw->setHeadOutput);
  set.footer(SET_HEAD_EXAMPLES);
}

HeadTarget MakeCommands::makeHead(const RawHead& raw) {
  HeadTarget target;
  target.writer.contract = addressOf(raw.contract);
  if (raw.chainId > 0) target.writer.chainId = raw.chainId;
  target.writer.maxFee = raw.maxFee * WEI_A_GWEI;
  target.writer.patience = KJ_ASSERT_NONNULL(parseDuration(raw.wait.c_str()));
  target.key = text(raw.key);
  target.provider = text(raw.provider);
  return target;
}

kj::Maybe<MakeOptions> MakeCommands::findParsed() const {
  if (raw->init->parsed()) {
    auto& words = raw->initWords;
    return MakeOptions(InitOptions{text(words.dir), words.rust, words.output == "json"});
  }
  if (raw->build->parsed()) {
    auto& words = raw->buildWords;
    return MakeOptions(BuildOptions{text(words.dir), given(words.sdk), words.output == "json"});
  }
  if (raw->sdkPath->parsed()) {
    return MakeOptions(SdkPathOptions{given(raw->sdkWords.sdk), raw->sdkWords.output == "json"});
  }
  if (raw->setHead->parsed()) {
    return MakeOptions(SetHeadOptions{makeHead(raw->setHeadHead), text(raw->cid),
                                      raw->setHeadOutput == "json"});
  }
  if (!raw->push->parsed()) return nullptr;
  PushOptions push;
  push.image = text(raw->image);
  if (isPeer(raw->to)) {
    push.peer = text(raw->to);
  } else if (raw->to != SWARM) {
    push.to = readKuboUrl(raw->to.c_str());
  }
  push.identity = given(raw->identity);
  push.dialTimeout = int64_t(raw->dialTimeout * 1000) * kj::MILLISECONDS;
  push.patience = KJ_ASSERT_NONNULL(parseDuration(raw->wait.c_str()));
  push.json = raw->pushOutput == "json";
  push.logLevel = text(raw->pushCommon.logLevel);
  push.logFormat = text(raw->pushCommon.logFormat);
  push.dataDir = given(raw->pushCommon.dataDir);
  push.sources = makeSourceOptions(raw->sources);
  push.storeBytes = storeBytesOf(raw->sources);
  if (!raw->pushHead.contract.empty()) push.head = makeHead(raw->pushHead);
  return MakeOptions(kj::mv(push));
}

kj::Maybe<kj::String> MakeCommands::findMistake() const {
  auto& head = raw->pushHead;
  if (!raw->push->parsed()) return nullptr;
  if (head.contract.empty()) {
    if (!head.key.empty()) return kj::str("--key is for --stem, which is not given");
  } else if (head.key.empty()) {
    return kj::str("--stem takes the key of the contract's owner: --key FILE");
  } else if (head.provider.empty()) {
    return kj::str("--stem takes a provider of its chain: --rpc-url URL");
  }
  return nullptr;
}

int make(const MakeOptions& options) {
  auto level = LogLevel::INFO;
  auto format = LogFormat::TEXT;
  KJ_IF_MAYBE(push, options.tryGet<PushOptions>()) {
    level = KJ_ASSERT_NONNULL(findLogLevel(push->logLevel));
    if (push->logFormat == "json") format = LogFormat::JSON;
  }
  StderrLogger logger(level, format);
  int code = 0;
  KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
    KJ_SWITCH_ONEOF(options) {
      KJ_CASE_ONEOF(init, InitOptions) { initProject(init, logger); }
      KJ_CASE_ONEOF(build, BuildOptions) { buildImage(build); }
      KJ_CASE_ONEOF(sdk, SdkPathOptions) { printSdkPath(sdk); }
      KJ_CASE_ONEOF(push, PushOptions) { ww::push(push, logger); }
      KJ_CASE_ONEOF(head, SetHeadOptions) { setHead(head, logger); }
    }
  })) {
    if (isNoImage(*e)) return complainOfImage(logger, *e);
    code = complain(logger, EXIT_NODE_FAILED, "this was not done", e->getDescription());
  }
  return code;
}

}  // namespace ww
