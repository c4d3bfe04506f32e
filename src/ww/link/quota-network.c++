#include <ww/link/quota-network.h>

#include <capnp/rpc.capnp.h>
#include <kj/debug.h>
#include <ww/base/error.h>
#include <ww/base/recycled.h>
#include <ww/link/cap-ledger.h>
#include <ww/link/message-bounds.h>
#include <ww/link/peer-question.h>
#include <ww/link/rpc-message.h>
#include <ww/link/wait-graph.h>

namespace ww {
namespace {

using Message = capnp::rpc::Message;

// Of a WaitGraph: above it a call that would add to it is refused, and a promise that becomes
// something ends the link at `tolerance` times so many.
constexpr size_t MAX_WAITS = 10'000;

// Calls whose results go to the peer itself, until it takes them, one at a time, of any size.
constexpr kj::uint MAX_ELSEWHERE = 4;

// Words to begin a message with whose size nobody knows. The default is 8 KiB, used or not.
constexpr kj::uint UNHINTED = 64;

}  // namespace

class QuotaNetwork::CountedConnection final: public Connection, public kj::Refcounted {
 public:
  CountedConnection(kj::Own<Connection> inner, QuotaNetwork& network)
      : inner(kj::mv(inner)), network(network), limits(network.limits) {
    network.current = *this;
  }
  ~CountedConnection() noexcept(false) { network.current = nullptr; }
  KJ_DISALLOW_COPY_AND_MOVE(CountedConnection);

  capnp::rpc::twoparty::VatId::Reader getPeerVatId() override { return inner->getPeerVatId(); }
  kj::Own<capnp::RpcFlowController> newStream() override { return inner->newStream(); }
  LinkUse getUse() const {
    return {questions.size(), held(), exports.size(), imports.size(), waits.size(), embargoes};
  }
  kj::Promise<void> shutdown() override {
    network.watcher.heardLast();
    return inner->shutdown();
  }
  kj::Own<capnp::OutgoingRpcMessage> newOutgoingMessage(kj::uint words) override {
    return kj::heap<Outgoing>(*this, inner->newOutgoingMessage(words == 0 ? UNHINTED : words));
  }

  kj::Promise<kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>> receiveIncomingMessage() override {
    return inner->receiveIncomingMessage().then(
        [this](kj::Maybe<kj::Own<capnp::IncomingRpcMessage>>&& received)
            -> kj::Maybe<kj::Own<capnp::IncomingRpcMessage>> {
      KJ_IF_MAYBE(message, received) {
        if (!mayGoOn()) kj::throwFatalException(overloaded("unsentBytes"));
        bool isAdmitted = true;
        KJ_IF_MAYBE(e, kj::runCatchingExceptions([&]() {
          isAdmitted = admit(**message);
        })) {
          end(inOwnTerms(kj::mv(*e)));
        }
        if (!isAdmitted) return makeNothing();
      }
      return kj::mv(received);
    }, [this](kj::Exception&& e) -> kj::Maybe<kj::Own<capnp::IncomingRpcMessage>> {
      end(kj::mv(e));
    });
  }

 private:
  using Question = PeerQuestion;

  // One that the peer has sent and this side not released, if a call was given it or it became
  // something.
  struct Promise {
    kj::Own<WaitGraph::Node> node;
    bool resolved = false;
  };

  class Outgoing final: public capnp::OutgoingRpcMessage, public Recycled<Outgoing> {
   public:
    Outgoing(CountedConnection& connection, kj::Own<capnp::OutgoingRpcMessage> inner)
        : connection(connection), inner(kj::mv(inner)) {}
    capnp::AnyPointer::Builder getBody() override { return inner->getBody(); }
    size_t sizeInWords() override { return inner->sizeInWords(); }
    void send() override {
      auto message = inner->getBody().getAs<Message>();
      hideInsides(message);
      connection.sending(message.asReader(), sizeInWords());
      inner->send();
      connection.mayGoOn();
    }

   private:
    CountedConnection& connection;
    kj::Own<capnp::OutgoingRpcMessage> inner;
  };

  kj::Own<Connection> inner;
  QuotaNetwork& network;
  const QuotaLimits& limits;  // the network's
  WaitGraph waits;
  kj::HashMap<uint32_t, Question> questions;
  kj::uint refused = 0;    // of them
  kj::uint answered = 0;   // likewise, by their callee
  uint64_t heldBytes = 0;  // of those not refused, and of the unheard
  kj::uint embargoes = 0;  // that the peer wants lifted, and were not yet
  kj::uint large = 0;      // calls that carry components, of those not yet answered
  kj::uint unheard = 0;    // calls that were finished and will never be answered
  kj::uint elsewhere = 0;  // results that the peer has yet to take
  uint64_t sentCaps = 0;   // by the peer, ever
  CapLedger exports, imports;  // sent to the peer, and by it
  ParamLedger params{exports};  // sent with questions that the peer is to answer
  kj::HashMap<uint32_t, Promise> promises;

  bool mayGoOn() { return network.watcher.mayGoOn(); }

  [[noreturn]] void end(kj::Exception&& reason) {
    KJ_IF_MAYBE(limit, findLimit(reason)) network.watcher.onHit(*limit);
    kj::throwFatalException(kj::mv(reason));
  }

  // False: dealt with here. Throws to end the link.
  bool admit(capnp::IncomingRpcMessage& incoming) {
    auto message = incoming.getBody().getAs<Message>();
    auto words = incoming.sizeInWords();
    if (message.isCall()) return admitCall(message, words);
    KJ_IF_MAYBE(limit, findExcess(message, words, {limits.exports, limits.depth})) {
      kj::throwFatalException(overloaded(*limit));
    }
    switch (message.which()) {
      case Message::BOOTSTRAP: return admitQuestion(message.getBootstrap().getQuestionId(), {});
      case Message::FINISH: {
        auto finished = message.getFinish();
        return finish(finished.getQuestionId(), finished.getReleaseResultCaps());
      }
      case Message::RETURN:
        receiveReturn(message.getReturn());
        return true;
      case Message::RESOLVE:
        receiveResolve(message.getResolve());
        return true;
      case Message::RELEASE:
        exports.release(message.getRelease().getId(), message.getRelease().getReferenceCount());
        return true;
      case Message::UNIMPLEMENTED:
        receiveUnimplemented(message.getUnimplemented());
        return true;
      case Message::DISEMBARGO:
        receiveDisembargo(message.getDisembargo());
        return true;
      default: return true;
    }
  }

  bool admitCall(Message::Reader message, uint64_t words) {
    auto call = message.getCall();
    // Most are to what the peer has in its hand, and bring nothing: there is nothing to be walked.
    bool isPlain = !call.getTarget().isPromisedAnswer() &&
                   call.getParams().getCapTable().size() == 0;
    Question question;
    question.bytes = words * sizeof(capnp::word);
    if (!isPlain) question.excess = findExcess(message, words, {limits.exports, limits.depth});
    question.isLarge = question.bytes > limits.messageBytes;
    bool mayBeLarge = call.getInterfaceId() == limits.largeInterface &&
                      call.getMethodId() == limits.largeMethod && limits.largeInterface != 0;
    if (question.isLarge && mayBeLarge && large == 0) {
      question.bytes = 0;  // counted apart
    } else {
      question.refused = question.isLarge;
    }
    // Results that go elsewhere have nobody here to be refused to, and are always answered for.
    bool refusable = call.getSendResultsTo().isCaller();
    question.elsewhere = !refusable;
    question.unanswerable = call.getOnlyPromisePipeline() && refusable;
    if (question.unanswerable) question.unseen = Question::UNSEEN_BYTES;
    question.bytes += question.unseen;
    if (!isPlain && question.excess == nullptr) countGiven(question, call);
    bool waitsForAny = question.waits > 0 || call.getTarget().isPromisedAnswer();
    if (!admitQuestion(call.getQuestionId(), kj::mv(question), refusable)) return false;
    if (isPlain) return true;
    imports.add(call.getParams().getCapTable());
    if (waitsForAny) noteWaits(call);
    return true;
  }

  // What a call stands on, and what it was given.
  void countGiven(Question& question, capnp::rpc::Call::Reader call) {
    if (call.getTarget().isPromisedAnswer()) {
      follow(question, call.getTarget().getPromisedAnswer());
    }
    // A call holds what it was given until it ends: a chain of these is freed by recursion too.
    auto caps = call.getParams().getCapTable();
    for (auto cap: caps) {
      if (cap.isReceiverAnswer()) follow(question, cap.getReceiverAnswer());
      question.waits += cap.isReceiverAnswer() || cap.isSenderPromise();
      question.given += Question::bytesOf(cap);
    }
    question.bytes += question.given;
    question.brings = CapLedger::countIn(caps);
    countCaps(question.brings);
  }

  // Of a call that was admitted: what it waits for.
  void noteWaits(capnp::rpc::Call::Reader call) {
    auto& question = KJ_ASSERT_NONNULL(questions.find(call.getQuestionId()));
    if (call.getTarget().isPromisedAnswer()) {
      waitForAnswer(question, call.getTarget().getPromisedAnswer());
    }
    for (auto cap: call.getParams().getCapTable()) {
      if (cap.isReceiverAnswer()) waitForAnswer(question, cap.getReceiverAnswer());
      if (cap.isSenderPromise()) {
        waitFor(question, *getPromise(cap.getSenderPromise()).node, 0);
      }
    }
  }

  void waitForAnswer(Question& question, capnp::rpc::PromisedAnswer::Reader answer) {
    notePath(answer);
    KJ_IF_MAYBE(on, findUnanswered(answer)) waitFor(question, *on, stepsOf(answer));
  }

  static kj::uint stepsOf(capnp::rpc::PromisedAnswer::Reader answer) {
    return answer.getTransform().size() + 1;
  }

  void notePath(capnp::rpc::PromisedAnswer::Reader answer) {
    KJ_IF_MAYBE(on, questions.find(answer.getQuestionId())) {
      if (!on->refused) heldBytes += on->addPath(answer.getTransform());
    }
    requireLittleHeld();
  }

  void notePath(capnp::rpc::CapDescriptor::Reader cap) {
    if (cap.isReceiverAnswer()) notePath(cap.getReceiverAnswer());
  }

  void waitFor(Question& question, WaitGraph::Node& other, kj::uint steps) {
    auto& node = nodeOf(question);
    if (&node != &other) node.waitFor(other, steps, limits.depth);  // a call's own is not there yet
  }

  WaitGraph::Node& nodeOf(Question& question) {
    if (question.node == nullptr) question.node = waits.makeNode();
    return *KJ_ASSERT_NONNULL(question.node);
  }

  // What stands for a call whose answer is named and not there yet.
  kj::Maybe<WaitGraph::Node&> findUnanswered(capnp::rpc::PromisedAnswer::Reader answer) {
    KJ_IF_MAYBE(on, questions.find(answer.getQuestionId())) {
      if (!on->answered && !on->refused) return nodeOf(*on);
    }
    return nullptr;
  }

  Promise& getPromise(uint32_t id) {
    return promises.findOrCreate(id, [&]() {
      return kj::HashMap<uint32_t, Promise>::Entry{id, Promise{waits.makeNode()}};
    });
  }

  void countCaps(uint64_t more) {
    sentCaps += more;
    if (sentCaps > limits.sentCaps) kj::throwFatalException(overloaded("sentCaps"));
  }

  uint64_t held() const { return heldBytes + waits.getHeld(); }

  // What only the peer can undo, as below.
  void requireLittleHeld(kj::StringPtr limit = "heldBytes") {
    if (held() > limits.tolerance * limits.heldBytes) kj::throwFatalException(overloaded(limit));
  }

  // An honest peer asks once for a promise that became one of its own, and is answered at once,
  // unless that is still on its way.
  void receiveDisembargo(capnp::rpc::Disembargo::Reader disembargo) {
    if (!disembargo.getContext().isSenderLoopback()) return;
    if (++embargoes > limits.embargoes()) kj::throwFatalException(overloaded("promises"));
    auto target = disembargo.getTarget();
    if (target.isPromisedAnswer()) notePath(target.getPromisedAnswer());
  }

  void requireFewCaps() {
    auto most = uint64_t(limits.exports) * limits.tolerance;
    if (exports.size() > most || imports.size() > most) {
      kj::throwFatalException(overloaded("exports"));
    }
  }

  void receiveReturn(capnp::rpc::Return::Reader ret) {
    if (!params.answer(ret) || !ret.isResults()) return;
    auto caps = ret.getResults().getCapTable();
    countCaps(CapLedger::countIn(caps));
    imports.add(caps);
    for (auto cap: caps) notePath(cap);
    requireFewCaps();
  }

  // The RPC system lets go of what it told such a peer.
  void receiveUnimplemented(Message::Reader message) {
    if (!message.isResolve() || !message.getResolve().isCap()) return;
    auto cap = message.getResolve().getCap();
    if (cap.isSenderHosted()) exports.release(cap.getSenderHosted());
    if (cap.isSenderPromise()) exports.release(cap.getSenderPromise());
  }

  // What became of a promise of the peer's. One that becomes another promise is wrapped once more,
  // and all of them are freed by recursion. There is no answer to it: above a limit the link ends.
  void receiveResolve(capnp::rpc::Resolve::Reader resolve) {
    if (resolve.isCap()) {
      auto cap = resolve.getCap();
      countCaps(CapLedger::isExport(cap));
      imports.add(cap);
      notePath(cap);
      requireFewCaps();
    }
    // Of what was released before it was heard of, only what it became is to be released: unless
    // that is the same.
    if (!imports.has(resolve.getPromiseId())) return;
    if (waits.size() >= limits.tolerance * MAX_WAITS) {
      kj::throwFatalException(overloaded("promises"));
    }
    auto& promise = getPromise(resolve.getPromiseId());
    if (promise.resolved) kj::throwFatalException(badInput("a promise that is resolved twice"));
    promise.resolved = true;
    if (resolve.isCap()) becomes(kj::addRef(*promise.node), resolve.getCap());
    if (resolve.isException()) promise.node->hold(reasonBytes(resolve.getException()));
    requireLittleHeld();
  }

  void becomes(kj::Own<WaitGraph::Node> promise, capnp::rpc::CapDescriptor::Reader cap) {
    if (cap.isSenderPromise()) {
      promise->waitFor(*getPromise(cap.getSenderPromise()).node, 1, limits.depth);
    } else if (cap.isReceiverAnswer()) {
      auto answer = cap.getReceiverAnswer();
      KJ_IF_MAYBE(on, findUnanswered(answer)) {
        promise->waitFor(*on, stepsOf(answer), limits.depth);
      }
    }
  }

  void follow(Question& question, capnp::rpc::PromisedAnswer::Reader answer) {
    kj::uint depth = answer.getTransform().size();
    KJ_IF_MAYBE(on, questions.find(answer.getQuestionId())) {
      question.refused |= on->refused;
      question.ways += Question::PATH_BYTES;
      if (!on->answered) depth += on->depth + 1;
    }
    question.depth = kj::max(question.depth, depth);
  }

  bool admitQuestion(uint32_t id, Question question, bool refusable = true) {
    auto limit = question.refused && question.isLarge ? "message"_kj : "calls"_kj;
    // What it stands on is unknown to the RPC system, which breaks it then, and nothing else.
    if (!refusable) question.refused = false;
    auto most = refusable ? limits.calls : limits.calls + limits.refused();
    auto refuseIf = [&](bool isOver, kj::StringPtr name) {
      if (!isOver) return;
      limit = name;
      question.refused = true;
    };
    auto more = question.bytes + question.ways;
    bool isApart = question.isLarge && (question.refused || more == 0);
    refuseIf(question.depth > limits.depth, "pipelining");
    refuseIf(!isApart && held() + more > limits.heldBytes, "heldBytes");
    refuseIf(answered >= limits.answers, "answers");
    refuseIf(imports.size() + question.brings > limits.exports || exports.size() >= limits.exports,
             "exports");
    refuseIf(question.waits > 0 && waits.size() + question.waits > MAX_WAITS, "promises");
    refuseIf(question.elsewhere && elsewhere >= MAX_ELSEWHERE, "answers");
    KJ_IF_MAYBE(name, question.excess) refuseIf(true, *name);
    requireFewCaps();
    requireLittleHeld(limit);
    question.refused |= questions.size() - refused - answered >= most;
    question.refused |= question.unanswerable && unheard >= limits.unheard();
    if (question.refused && (!refusable || refused >= limits.refused())) {
      kj::throwFatalException(overloaded(limit));
    }
    if (questions.find(id) != nullptr) {
      kj::throwFatalException(badInput("a question with the number of one that stands"));
    }
    auto& added = questions.insert(id, kj::mv(question)).value;
    if (!added.refused) {
      heldBytes += added.bytes;
      large += added.isLarge;
      elsewhere += added.elsewhere;
      return true;
    }
    ++refused;
    if (!added.unanswerable) refuse(id, limit);
    return false;
  }

  void refuse(uint32_t id, kj::StringPtr limit) {
    network.watcher.onHit(limit);
    auto answer = inner->newOutgoingMessage(32);
    fillRefusal(answer->getBody().initAs<Message>().initReturn(), id, overloaded(limit));
    answer->send();
  }

  bool finish(uint32_t id, bool releasesResults) {
    KJ_IF_MAYBE(question, questions.find(id)) {
      if (question->refused) {
        --refused;
        questions.erase(id);
        return false;
      }
      if (question->answered) {
        if (releasesResults) exports.release(question->results);
        --answered;
        heldBytes -= question->bytes;
        questions.erase(id);
      } else if (question->unanswerable) {
        // It may run on, and nothing will tell of its end.
        ++unheard;
        heldBytes -= question->bytesUntilFinish();
        if (!question->isWaitedFor()) large -= question->isLarge;
        questions.erase(id);
      } else {
        question->finished = true;
      }
    }
    return true;
  }

  void sending(Message::Reader message, uint64_t words) {
    switch (message.which()) {
      case Message::CALL:
        params.ask(message.getCall());
        break;
      case Message::FINISH:
        params.finish(message.getFinish());
        break;
      case Message::RESOLVE:
        if (message.getResolve().isCap()) exports.add(message.getResolve().getCap());
        break;
      case Message::RELEASE:
        release(message.getRelease().getId(), message.getRelease().getReferenceCount());
        break;
      case Message::RETURN:
        sendingReturn(message.getReturn(), words);
        break;
      case Message::DISEMBARGO:
        embargoes -= embargoes > 0 && message.getDisembargo().getContext().isReceiverLoopback();
        break;
      default: break;
    }
  }

  // From here on the peer may give its number to another one.
  void release(uint32_t id, uint32_t times) {
    imports.release(id, times);
    if (!imports.has(id)) promises.erase(id);
  }

  void sendingReturn(capnp::rpc::Return::Reader ret, uint64_t words) {
    auto id = ret.getAnswerId();
    KJ_IF_MAYBE(question, questions.find(id)) {
      heldBytes -= question->bytes;
      large -= question->isLarge;
      elsewhere -= question->elsewhere;
      KJ_IF_MAYBE(node, question->node) (*node)->settle();
      question->node = nullptr;
      if (ret.isResults()) question->results = exports.add(ret.getResults().getCapTable());
      if (question->finished || ret.getNoFinishNeeded()) {
        questions.erase(id);
      } else {
        question->answered = true;
        question->bytes = words * sizeof(capnp::word) + question->pathBytes;
        heldBytes += question->bytes;
        ++answered;
      }
    }
  }
};

LinkUse QuotaNetwork::getUse() const {
  return current.map([](const CountedConnection& c) { return c.getUse(); }).orDefault({});
}

// There is but one connection, whoever asks first.
kj::Own<QuotaNetwork::Connection> QuotaNetwork::counted(kj::Own<Connection> connection) {
  KJ_IF_MAYBE(c, current) return kj::addRef(*c);
  return kj::refcounted<CountedConnection>(kj::mv(connection), *this);
}

kj::Maybe<kj::Own<QuotaNetwork::Connection>> QuotaNetwork::connect(
    capnp::rpc::twoparty::VatId::Reader ref) {
  return inner.connect(ref).map([this](kj::Own<Connection>&& c) { return counted(kj::mv(c)); });
}

kj::Promise<kj::Own<QuotaNetwork::Connection>> QuotaNetwork::accept() {
  if (accepted) return kj::NEVER_DONE;
  accepted = true;
  return inner.accept().then([this](kj::Own<Connection>&& c) { return counted(kj::mv(c)); });
}

}  // namespace ww
