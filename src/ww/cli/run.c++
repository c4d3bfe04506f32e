#include <ww/cli/run.h>

#include <kj/async-io.h>
#include <kj/async-unix.h>
#include <kj/debug.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <thread>
#include <unistd.h>
#include <ww/base/random.h>
#include <ww/cli/data-dir.h>
#include <ww/cli/default-image.h>
#include <ww/cli/stderr-logger.h>
#include <ww/cli/store-names.h>
#include <ww/node/allow-list.h>
#include <ww/node/chain-source.h>
#include <ww/node/cell-pid0.h>
#include <ww/node/client-links.h>
#include <ww/node/compile-worker.h>
#include <ww/node/directory-store.h>
#include <ww/node/identity-file.h>
#include <ww/node/host-layer.h>
#include <ww/node/image-tree.h>
#include <ww/node/local-endpoint.h>
#include <ww/node/metrics-server.h>
#include <ww/node/node-images.h>
#include <ww/node/node.h>
#include <ww/node/pid0-files.h>
#include <ww/node/sqlite-cursor-store.h>
#include <ww/node/waiting-door.h>

namespace ww {
namespace {

// Then somebody may wonder what it does.
constexpr kj::Duration TO_BEGIN = 1 * kj::SECONDS;

// So that a component that takes long holds no other up.
kj::uint compileThreads() {
  constexpr long FEWEST = 4, MOST = 8;
  return kj::max(FEWEST, kj::min(MOST, sysconf(_SC_NPROCESSORS_ONLN)));
}

// That this process may use.
kj::uint cores() { return kj::max(std::thread::hardware_concurrency(), 1u); }

constexpr kj::StringPtr VERSION = WW_VERSION ""_kj;

constexpr kj::StringPtr TO_FOLLOW_ANEW =
    "the node ends. Find out what became of the chain; to follow it as it is now: the same command "
    "and, for one start, --forget-epoch"_kj;

constexpr uint64_t MAX_CODE_BYTES = uint64_t(1) << 30;

kj::Promise<int> untilSignal(kj::UnixEventPort& port, int signal) {
  return port.onSignal(signal).then([signal](siginfo_t&&) { return signal; });
}

kj::Promise<void> advanceOnSignal(kj::UnixEventPort& port, ManualHeadSource& heads) {
  for (;;) {
    co_await port.onSignal(SIGUSR1);
    heads.advance();
  }
}

// Nothing where what is kept could not be run.
kj::Maybe<kj::Own<Store>> openCode(kj::StringPtr dataDir, Logger& logger) {
  auto folder = kj::str(dataDir, "/code");
  auto store = kj::heap<DirectoryStore>(folder, MAX_CODE_BYTES);
  if (store->isForCode()) return kj::Own<Store>(kj::mv(store));
  logger.log(LogLevel::WARNING, "compiled code is not kept, and each run compiles anew: the disk "
             "of this folder is mounted noexec; mount it without, or name another data folder with "
             "--data-dir", {{"folder", kj::mv(folder)}});
  return nullptr;
}

// What the node keeps on disk. Opened before signals are ours, so that a slow disk can be
// interrupted.
struct DataDir {
  kj::String path;
  kj::AutoCloseFd lock;
  Identity identity;
  kj::Maybe<kj::Own<Store>> code;
  const bool keepsCode;
  kj::Own<TreeFolder> trees;

  DataDir(kj::String folder, Logger& logger)
      : path(kj::mv(folder)), lock(lockDataDir(path)), identity(loadOrMakeIdentity(path)),
        code(openCode(path, logger)), keepsCode(code != nullptr),
        trees(kj::heap<TreeFolder>(kj::str(path, "/trees"))) {}
};

// What every pid0 is lent of the host. Throws for a volume that cannot be had: before anything is
// fetched, or run.
kj::Vector<CellFolder> volumesOf(const RunOptions& options, const DataDir& data) {
  kj::Vector<kj::StringPtr> kept;
  kept.add(data.path);
  // Each of these may be a link to another disk.
  auto code = kj::str(data.path, "/code"), trees = kj::str(data.path, "/trees"),
       images = kj::str(data.path, "/images");
  kept.add(code);
  kept.add(trees);
  kept.add(images);
  KJ_IF_MAYBE(file, options.allowFile) kept.add(*file);
  KJ_IF_MAYBE(file, options.network.privateNetwork) kept.add(*file);
  return openVolumes(options.volumes, kept);
}

// Whether the heads that are followed are the images.
bool bootsHeads(const RunOptions& options) {
  return options.chain != nullptr && options.layers.size() == 0;
}

struct Image {
  kj::Own<MergedTree> tree;
  kj::Array<const kj::byte> wasm;

  // Throws noImage().
  explicit Image(kj::Own<MergedTree> merged): tree(kj::mv(merged)) {
    auto main = tree->readMain();
    KJ_IF_MAYBE(none, main.tryGet<NoImage>()) kj::throwFatalException(noImage(none->problem));
    wasm = kj::mv(main.get<kj::Array<kj::byte>>());
  }
};

// Layers that are all on this machine, or the default image.
kj::Own<MergedTree> mergeHost(const RunOptions& options, TreeFolder& trees) {
  TreeLimits limits;
  auto tree = trees.begin(limits);
  if (options.layers.size() == 0) {
    tree->beginLayer("the default image");
    readComponentLayer(defaultImage(), *tree);
  }
  for (auto& layer: options.layers) {
    tree->beginLayer(layer);
    readHostLayer(layer, limits, *tree);
  }
  kj::EventLoop loop;  // the node's is made later
  kj::WaitScope waitScope(loop);
  return tree->finish().wait(waitScope);
}

bool hasContent(const RunOptions& options) {
  for (auto& layer: options.layers) {
    if (NodeImages::isFor(layer)) return true;
  }
  return false;
}

// One run of one node.
class Run {
 public:
  Run(const RunOptions& options, Logger& logger, kj::AsyncIoContext& io, DataDir& data,
      kj::ArrayPtr<const CellFolder> volumes, LocalEndpoint& endpoint,
      MetricsServer& metricsServer, kj::Maybe<StemFollower&> follower)
      : options(options), logger(logger), io(io), data(data), volumes(volumes), endpoint(endpoint),
        metricsServer(metricsServer), follower(follower),
        allowList(options.allow, fileOf(options), allowedKeys, logger),
        policy(data.identity.getPeerId().toText(), allowedKeys, io.provider->getTimer(),
               randomNonce),
        swarm(makeSwarm(options.network, data.identity, io.provider->getTimer(),
                        io.unixEventPort, logger)),
        node(nodeOptions(options), io.provider->getTimer(), io.waitScope, heads, *swarm, logger,
             {kj::mv(data.code), kj::heap<ProcessCompileWorker>(engineOptions(options))},
             follower),
        clients(node, *swarm, policy, io.provider->getTimer(), logger, options.limits.clients) {
    if (options.network.enabled || hasContent(options) || bootsHeads(options)) {
      images.emplace(NodeImages::Parts{imagesFolder, options.storeBytes, options.sources,
          options.network.enabled,
          [this]() { return meetBootstrap(this->options.network, *swarm); }, dialScope(options),
          *swarm, *io.provider, *data.trees, logger});
    }
    KJ_IF_MAYBE(keeper, images) node.setImages(*keeper);
    metricsServer.setMetrics([this]() { return metrics.toText(); });
    metricsServer.setWaiting("pid0 does not run yet");
    sayWhoGetsIn();
    swarm->serve(RPC_PROTOCOL, [this](PeerStream peer) { clients.servePeer(kj::mv(peer)); });
  }

  ~Run() noexcept(false) {
    metricsServer.setMetrics([]() { return kj::String(); });
    metricsServer.setWaiting("the node ends");
  }
  KJ_DISALLOW_COPY_AND_MOVE(Run);

  // Without an image: the layers are fetched, or those that the heads name.
  kj::Promise<int> run(kj::Maybe<Image> image) {
    auto advancing = options.advanceOnSignal
        ? advanceOnSignal(io.unixEventPort, manualHead).eagerlyEvaluate(nullptr)
        : kj::Promise<void>(kj::NEVER_DONE);
    auto signal = untilSignal(io.unixEventPort, SIGINT)
        .exclusiveJoin(untilSignal(io.unixEventPort, SIGTERM)).fork();
    auto serving = endpoint.serve(io.provider->getTimer(),
                                  [this](kj::Own<kj::AsyncIoStream> stream) {
      clients.serveOwner(kj::mv(stream));
    }).eagerlyEvaluate([this](kj::Exception&& e) { complainOf("the local socket", e); });
    auto following = allowList.follow(*io.lowLevelProvider, io.provider->getTimer())
        .eagerlyEvaluate([this](kj::Exception&& e) { complainOf("the allowed keys", e); });
    auto exit = runImage(kj::mv(image));
    auto code = co_await exit.exclusiveJoin(signal.addBranch().then([](int number) {
      return EXIT_SIGNAL_BASE + number;
    })).exclusiveJoin(untilClosed());
    // What the end itself answered, a kill of pid0 say, is sent when the loop has nothing to do.
    co_await io.provider->getTimer().afterDelay(0 * kj::SECONDS);
    co_return code;
  }

 private:
  const RunOptions& options;
  Logger& logger;
  kj::AsyncIoContext& io;
  DataDir& data;
  const kj::ArrayPtr<const CellFolder> volumes;
  LocalEndpoint& endpoint;
  MetricsServer& metricsServer;
  kj::Maybe<StemFollower&> follower;
  const kj::String imagesFolder = kj::str(data.path, "/images");
  StaticHeadSource staticHead;
  ManualHeadSource manualHead;  // where the options ask for one
  HeadSource& heads = findHeads();
  AllowedKeys allowedKeys;
  AllowList allowList;
  SignedGraftPolicy policy;
  kj::Own<Swarm> swarm;
  kj::Maybe<NodeImages> images;  // where there is anything to fetch, or anybody to serve
  Node node;
  ClientLinks clients;
  NodeMetrics metrics{node, clients, *swarm, VERSION};

  HeadSource& findHeads() {
    KJ_IF_MAYBE(f, follower) return *f;
    if (options.advanceOnSignal) return manualHead;
    return staticHead;
  }

  // What was final on the chain is no longer: no authority, and nothing to wait for.
  kj::Promise<int> untilClosed() {
    co_await node.onClosed();
    if (options.chain.map([](const ChainOptions& chain) { return chain.stay; }).orDefault(false)) {
      logger.log(LogLevel::ERROR, "the node runs on without authority (--stay)");
      co_await kj::Promise<void>(kj::NEVER_DONE);
    }
    logger.log(LogLevel::ERROR, TO_FOLLOW_ANEW);
    co_return EXIT_NODE_FAILED;
  }

  static kj::Maybe<kj::StringPtr> fileOf(const RunOptions& options) {
    return options.allowFile.map([](const kj::String& path) -> kj::StringPtr { return path; });
  }

  // A key without a way in, or a way in that no key has, is seldom what somebody wanted.
  void sayWhoGetsIn() {
    bool isOpen = options.network.enabled || options.network.rpc != nullptr;
    bool hasKeys = options.allow.size() > 0 || options.allowFile != nullptr;
    if (isOpen && !hasKeys) {
      logger.log(LogLevel::INFO, "no key may graft from elsewhere: --allow KEY names one");
    } else if (!isOpen && hasKeys) {
      logger.log(LogLevel::WARNING, "no key can come in: --listen or --rpc opens a way");
    }
  }

  void complainOf(kj::StringPtr what, const kj::Exception& exception) {
    logger.log(LogLevel::ERROR, "no longer served or followed",
               {{"what", kj::str(what)}, {"cause", kj::str(exception.getDescription())}});
  }

  static ffi::EngineOptions engineOptions(const RunOptions& options) {
    ffi::EngineOptions result;
    result.slice = options.limits.slice;
    result.wasmStackBytes = options.limits.stackBytes;
    result.debugInfo = options.wasmDebug;
    result.maxGuests = options.limits.cells;
    return result;
  }

  static NodeOptions nodeOptions(const RunOptions& options) {
    NodeOptions result;
    result.engine = engineOptions(options);
    result.compileThreads = compileThreads();
    result.threads = options.threads.orDefault(cores());
    result.dial = options.limits.dial;
    result.dial.allowPrivate = options.network.dialPrivate;
    result.cell = options.limits.cell;
    result.grace = options.grace;
    return result;
  }

  void sayWhyItEnds(const Cell& cell, int code) {
    if (code == EXIT_KILLED && cell.findTrapCause() == nullptr) {
      logger.log(LogLevel::ERROR, "the image was killed, and the node ends with it");
    }
    if (cell.wasOutOfTime()) {
      logger.log(LogLevel::ERROR, "the image was out of time, and the node ends with it");
    }
  }

  static DialScope dialScope(const RunOptions& options) {
    return options.network.dialPrivate ? DialScope::ANYWHERE : DialScope::PUBLIC;
  }

  kj::Promise<int> runImage(kj::Maybe<Image> image) {
    KJ_IF_MAYBE(whole, image) co_return co_await runCell(kj::mv(*whole));
    if (bootsHeads(options)) co_return co_await runHeads();
    metricsServer.setWaiting("the image is being fetched");
    auto merged = co_await KJ_ASSERT_NONNULL(images).merge(options.layers).catch_(
        [](kj::Exception&& e) -> kj::Own<MergedTree> {
      if (!isNoImage(e)) kj::throwFatalException(noImage(e.getDescription()));
      kj::throwFatalException(kj::mv(e));
    });
    metricsServer.setWaiting("pid0 does not run yet");
    co_return co_await runCell(Image(kj::mv(merged)));
  }

  kj::Promise<kj::Own<Cell>> boot(kj::Array<const kj::byte> wasm, const MergedTree& tree) {
    auto files = filesOfPid0(tree, openAgain(volumes));
    auto args = KJ_MAP(arg, options.args) { return kj::str(arg); };
    auto env = KJ_MAP(variable, options.env) { return kj::str(variable); };
    auto slow = io.provider->getTimer().afterDelay(TO_BEGIN).then([this]() {
      logger.log(LogLevel::INFO, data.keepsCode
                     ? "the image is being compiled; the next time it is there at once"_kj
                     : "the image is being compiled"_kj);
    }).eagerlyEvaluate(nullptr);
    return node.boot(kj::mv(wasm), kj::mv(args), kj::mv(env), kj::mv(files))
        .attach(kj::mv(slow));
  }

  // Starts what a head names.
  class HeadStarter final: public Pid0Starter {
   public:
    explicit HeadStarter(Run& run): run(run) {}

    kj::Promise<kj::Own<RunningPid0>> start(EpochImage image) override {
      auto tree = kj::mv(KJ_ASSERT_NONNULL(image.tree));
      auto cell = co_await run.boot(kj::mv(image.wasm), *tree);
      kj::Own<RunningPid0> pid0 = kj::heap<CellPid0>(kj::mv(cell), *run.io.lowLevelProvider,
                                                     run.logger, kj::mv(tree));
      co_return kj::mv(pid0);
    }

   private:
    Run& run;
  };

  kj::Promise<int> runHeads() {
    auto& chain = KJ_ASSERT_NONNULL(follower);
    HeadStarter starter(*this);
    EpochImages epochs({node.getHeadWatch(), node.getGraftGate(), chain,
                        KJ_ASSERT_NONNULL(images), starter, io.provider->getTimer(), logger,
                        options.grace});
    metricsServer.setReady([&]() -> kj::Maybe<kj::String> {
      KJ_IF_MAYBE(why, chain.findProblem()) return kj::mv(*why);
      return epochs.findProblem();
    });
    KJ_DEFER(metricsServer.setWaiting("the node ends"));
    co_return co_await epochs.run();
  }

  kj::Promise<int> runCell(Image image) {
    auto cell = co_await boot(kj::mv(image.wasm), *image.tree);
    metricsServer.setReady([this]() -> kj::Maybe<kj::String> {
      KJ_IF_MAYBE(f, follower) return f->findProblem();
      return nullptr;
    });
    CellPid0 pid0(kj::mv(cell), *io.lowLevelProvider, logger);
    auto code = co_await pid0.onEnd();
    sayWhyItEnds(pid0.getCell(), code);
    co_return code;
  }
};

// Connections and cells take descriptors; the usual limit of 1,024 is for programs that select().
void raiseDescriptorLimit() {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) < 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Rejects if it cannot be done; does not resolve.
kj::Promise<int> serveMetrics(const RunOptions& options, kj::AsyncIoContext& io,
                              MetricsServer& server) {
  KJ_IF_MAYBE(address, options.metrics) {
    co_await server.serve(io.provider->getNetwork(), *address);
  }
  co_await kj::Promise<void>(kj::NEVER_DONE);
  co_return 0;
}

// 0 once it has an epoch; else the code to end with.
kj::Promise<int> startChain(ChainSource& source, kj::AsyncIoContext& io, Logger& logger) {
  auto ended = [](int number) { return EXIT_SIGNAL_BASE + number; };
  return source.start().then([]() { return 0; }, [&logger](kj::Exception&& e) -> int {
    if (!e.getDescription().startsWith(REORG_TOO_DEEP)) kj::throwFatalException(kj::mv(e));
    logger.log(LogLevel::ERROR, "what was final on the chain is no longer",
               {{"cause", kj::str(e.getDescription())}});
    logger.log(LogLevel::ERROR, TO_FOLLOW_ANEW);
    return EXIT_NODE_FAILED;
  })
      .exclusiveJoin(untilSignal(io.unixEventPort, SIGINT).then(ended))
      .exclusiveJoin(untilSignal(io.unixEventPort, SIGTERM).then(ended));
}

// Why it came to no end of its own.
int explain(const RunOptions& options, Logger& logger, const kj::Exception& exception) {
  if (isNoImage(exception)) return complainOfImage(logger, exception);
  KJ_IF_MAYBE(imageCode, findExitCode(exception)) {
    auto image = options.layers.size() == 0 ? kj::str("the default image")
                                            : kj::strArray(options.layers, " ");
    return complain(logger, *imageCode, kj::str("the image cannot be run: ", image),
                    exception.getDescription());
  }
  return complain(logger, EXIT_NODE_FAILED, "the node failed", exception.getDescription());
}

int runImage(RunOptions& options, Logger& logger) {
  int code = EXIT_NODE_FAILED;
  KJ_IF_MAYBE(exception, kj::runCatchingExceptions([&]() {
    raiseDescriptorLimit();
    DataDir data(dataDir(options.dataDir), logger);
    auto volumes = volumesOf(options, data);
    resolveLayers(options.layers, data.path, logger);
    kj::Maybe<Image> image;
    if (!hasContent(options) && !bootsHeads(options)) {
      image.emplace(mergeHost(options, *data.trees));
    }
    kj::UnixEventPort::setReservedSignal(SIGUSR2);  // KJ takes SIGUSR1 otherwise
    kj::UnixEventPort::captureSignal(SIGINT);
    kj::UnixEventPort::captureSignal(SIGTERM);
    if (options.advanceOnSignal) kj::UnixEventPort::captureSignal(SIGUSR1);
    auto io = kj::setupAsyncIo();
    // What a node's end leaves to the loop's next turn, links among it, needs a loop to end in.
    KJ_DEFER(io.waitScope.poll());
    MetricsServer metricsServer(io.provider->getTimer(), logger);
    auto watching = serveMetrics(options, io, metricsServer).fork();
    LocalEndpoint endpoint(*io.lowLevelProvider, data.path);
    kj::Maybe<kj::Own<ChainSource>> chain;
    KJ_IF_MAYBE(chainOptions, options.chain) {
      auto source = kj::heap<ChainSource>(*chainOptions, *io.provider,
                                          kj::heap<SqliteCursorStore>(data.path), logger);
      auto why = [&follower = source->getFollower()]() {
        return follower.findProblem().orDefault(kj::str("pid0 does not run yet"));
      };
      metricsServer.setWaitingFor(why);
      WaitingDoor door(endpoint, io.provider->getTimer(), why);
      code = startChain(*source, io, logger).exclusiveJoin(watching.addBranch())
          .wait(io.waitScope);
      if (code != 0) return;
      chain = kj::mv(source);
    }
    Run run(options, logger, io, data, volumes, endpoint, metricsServer,
            chain.map([](auto& source) -> StemFollower& { return source->getFollower(); }));
    code = run.run(kj::mv(image)).exclusiveJoin(watching.addBranch()).wait(io.waitScope);
  })) {
    return explain(options, logger, *exception);
  }
  return code;
}

}  // namespace

int complain(Logger& logger, int code, kj::StringPtr event, kj::StringPtr cause) {
  logger.log(LogLevel::ERROR, event, {{"cause", kj::str(cause)}});
  return code;
}

int complainOfImage(Logger& logger, const kj::Exception& exception) {
  return complain(logger, EXIT_NO_IMAGE, "the image cannot be had",
                  exception.getDescription().slice(NOT_AN_IMAGE.size()));
}

int run(RunOptions options) {
  StderrLogger logger(KJ_ASSERT_NONNULL(findLogLevel(options.logLevel)),
                      options.logFormat == "json" ? LogFormat::JSON : LogFormat::TEXT);
  KjLogs kjLogs(logger);
  return runImage(options, logger);
}

}  // namespace ww
