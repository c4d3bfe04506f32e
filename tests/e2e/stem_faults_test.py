"""Providers of a chain that lie, fail and keep silent, among others that do not."""
import contextlib
import unittest

from provider import Provider, frame, http, says, says_and_waits, says_without_end
from stems import FIRST, METRICS, StemCase, until
from chain import HEAD_UPDATED, Chain, encode_bytes  # stems has put its folder on the path

NULL = {"result": None}
ENDLESS = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BODY = b'{"jsonrpc": "2.0", "id": 1, "result": "'
PIECE = b"0" * 65536
MANY_BYTES = 64 << 20  # more than a node may keep of what one provider says


def encode_head(seq, value):
    """What head() gives."""
    tail = encode_bytes(value)[64:]
    return "0x" + seq.to_bytes(32, "big").hex() + (64).to_bytes(32, "big").hex() + tail


def head_log(chain, stem, seq, value, block, **others):
    return {"address": stem, "topics": [HEAD_UPDATED, "0x" + seq.to_bytes(32, "big").hex(),
                                        "0x" + bytes(12).hex() + chain.accounts[0][2:],
                                        chain.keccak(value)],
            "data": "0x" + encode_bytes(value), "blockNumber": block["number"],
            "blockHash": block["hash"], "logIndex": "0x0", "transactionIndex": "0x0",
            "transactionHash": "0x" + "11" * 32, "removed": False, **others}


def only(method, answer, after=None):
    """A fault in the answers to one method alone."""
    def fault(call):
        return answer(call) if call.method == method else (after or type(call).pass_on)(call)
    return fault


class LiarCase(StemCase):
    def setUp(self):
        super().setUp()
        self.liar = Provider(self, self.chain)
        self.urls = (self.chain.http_url, self.chain.http_url, self.liar.http_url)

    def among_others(self, *flags, urls=None):
        node = self.follow(*METRICS, *flags, urls=urls or self.urls)
        node.shows(0)
        return node

    def in_state(self, node, *states, name=None):
        """Until `ww epoch` has the liar in one of them; what it shows of it."""
        return until(lambda: node.provider(name or self.liar.http_name),
                     lambda shown: shown["state"] in states)

    def others_go_on(self, node, values=(b"one", b"two", b"three")):
        """What is published is adopted, and nothing else."""
        first = self.chain.head(self.stem)[0]
        for seq, value in enumerate(values, first + 1):
            self.publish(value)
            node.shows(seq)
        all_of_them = [(str(seq), value.hex()) for seq, value in enumerate(values, first + 1)]
        # What pid0 prints and what the node says are two pipes: either may be read first.
        told = until(node.adopted, lambda heads: heads[-1:] == all_of_them[-1:])
        self.assertEqual(told[-len(values):], all_of_them)
        good = [one["state"] for one in node.epoch()["chain"]["providers"]][:2]
        self.assertEqual(good, ["answers"] * 2)


class LyingTest(LiarCase):
    def names_it(self, node, problem):
        shown = self.in_state(node, "disagrees")
        self.assertRegex(shown["problem"], problem)
        self.assertGreater(shown["disagreements"], 0)
        node.log.find(rf"not at one with the others provider=\S*{self.liar.port} cause=.*{problem}")
        self.assertGreater(node.metric("ww_epoch_provider_disagreements_total"), 0)
        self.assertEqual(node.metric("ww_epoch_providers_good"), 2)

    def test_a_forged_head_is_nobodys(self):
        node = self.among_others()
        forged = {"result": encode_head(7, b"forged")}
        self.liar.fault = only("eth_call", lambda call: forged)
        self.chain.mine()
        self.names_it(node, rf"it says head 7 \(0x{b'forged'.hex()}\).* a quorum says head 0")
        self.others_go_on(node)
        self.assertEqual(node.epochs(), [0, 1, 2, 3])
        self.liar.fault = None
        self.chain.mine()
        self.in_state(node, "answers")

    def test_a_forged_head_and_one_honest_provider_are_no_quorum(self):
        other = Provider(self, self.chain)
        node = self.among_others(urls=(self.chain.http_url, other.http_url, self.liar.http_url))
        other.fault = lambda call: says(http(503, b"down"))
        self.in_state(node, "fails", name=other.http_name)
        self.liar.fault = only("eth_call", lambda call: {"result": encode_head(7, b"forged")})
        block = self.publish(b"second")
        node.log.until(rf"have no quorum cause=.*no quorum agrees at block {block}: 2 of 3 "
                       "providers vote, and not enough of them alike")
        self.assertEqual(node.epoch()["seq"], 0)
        self.assertEqual(node.epochs(), [0])
        other.fault = None  # asked again within a while
        node.shows(1)
        until(node.adopted, lambda heads: heads[-1:] == [("1", b"second".hex())])

    def test_two_that_differ_are_none_to_follow(self):
        node = self.follow(*METRICS, urls=(self.chain.http_url, self.liar.http_url))
        node.shows(0)
        self.liar.fault = only("eth_call", lambda call: {"result": encode_head(7, b"forged")})
        self.publish(b"second")
        self.in_state(node, "disagrees")
        self.assertEqual(node.epochs(), [0])
        self.liar.fault = None
        node.shows(1)

    def test_forged_blocks_are_nobodys(self):
        node = self.among_others()

        def forge(call):
            answer = call.pass_on()
            if answer["result"]:
                answer["result"]["hash"] = "0x" + "22" * 32
            return answer

        self.liar.fault = only("eth_getBlockByNumber", forge,
                               only("eth_call", lambda call: {"result": encode_head(0, FIRST)}))
        self.chain.mine()
        self.names_it(node, f"in 0x{'22' * 32}.* a quorum says head 0")
        self.others_go_on(node)

    def test_a_height_that_nobody_else_has_reached_holds_nobody_up(self):
        node = self.among_others()

        def forge(call):
            answer = call.pass_on()
            if answer["result"] and call.params[0] in ("latest", "finalized"):
                answer["result"]["number"] = hex(10**6 + int(answer["result"]["number"], 16))
            return answer

        self.liar.fault = only("eth_getBlockByNumber", forge)
        until(lambda: node.provider(self.liar.http_name), lambda at: at["latest"] > 10**6)
        self.others_go_on(node)
        self.assertLess(node.epoch()["chain"]["latest"], 10**6)

    def test_a_frozen_tip_holds_nobody_up(self):
        node = self.among_others()
        frozen = {tag: self.chain.block(tag) for tag in ("latest", "finalized")}

        def freeze(call):
            kept = frozen.get(call.params[0])
            return {"result": kept} if kept else call.pass_on()

        self.liar.fault = only("eth_getBlockByNumber", freeze)
        self.others_go_on(node)
        shown = node.provider(self.liar.http_name)
        self.assertEqual((shown["latest"], shown["final"]),
                         tuple(int(frozen[tag]["number"], 16) for tag in ("latest", "finalized")))
        self.liar.fault = None
        until(lambda: node.provider(self.liar.http_name),
              lambda at: at["latest"] == self.chain.number())
        # Where most are frozen nobody moves, to what is right when they do.
        node.kill()
        other = Provider(self, self.chain)
        other.fault = self.liar.fault = only("eth_getBlockByNumber", freeze)
        frozen.update({tag: self.chain.block(tag) for tag in frozen})
        node = self.follow(urls=(self.chain.http_url, other.http_url, self.liar.http_url))
        node.shows(3)
        self.publish(b"four")
        until(lambda: node.provider(self.chain.http_url),
              lambda at: at["final"] == self.chain.number("finalized"))
        self.assertEqual(node.epoch()["seq"], 3)
        other.fault = None
        node.shows(4)

    def test_forged_events_are_no_epoch(self):
        node = self.among_others()

        def forge(call):
            return {"result": [head_log(self.chain, self.stem, 9, b"forged",
                                        self.chain.block("finalized"))]}

        self.liar.fault = only("eth_getLogs", forge)
        self.publish(b"second")
        node.shows(1)
        self.names_it(node, r"its events of blocks \d+ to \d+ do not lead to head 1")
        self.others_go_on(node)
        self.assertEqual(node.epochs(), [0, 1, 2, 3, 4])
        self.assertIn("eth_getLogs", self.liar.asked)

    def test_a_burst_that_is_cut_off_loses_no_epoch_and_none_comes_twice(self):
        node = self.follow(urls=(self.liar.ws_url,))
        node.shows(0)
        for number in range(5):
            block = {"number": hex(self.set_head(b"%d" % number)), "hash": "0x" + "44" * 32}
            for _ in range(3):
                self.liar.push(head_log(self.chain, self.stem, number + 1, b"%d" % number, block))
            self.liar.hang_up()
            self.finish()
            node.shows(number + 1)
        self.assertEqual(node.epochs(), [0, 1, 2, 3, 4, 5])

    def test_events_that_it_keeps_to_itself_are_missed(self):
        node = self.among_others()
        self.liar.fault = only("eth_getLogs", lambda call: {"result": []})
        self.publish(b"second")
        node.shows(1)
        self.names_it(node, r"do not lead to head 1")

    def test_forged_pushes_are_no_epoch(self):
        node = self.among_others(urls=(*self.urls[:2], self.liar.ws_url))
        until(lambda: len(self.liar.subscribers), lambda count: count == 2)
        block = {"number": hex(self.chain.number() + 1), "hash": "0x" + "33" * 32}
        forged = head_log(self.chain, self.stem, 9, b"forged", block)
        for _ in range(3):  # again and again is once
            self.liar.push(forged)
        until(node.epoch, lambda at: at["chain"].get("pending") == 9)
        self.liar.push({**forged, "removed": True})
        until(node.epoch, lambda at: "pending" not in at["chain"])
        self.liar.push({**forged, "removed": True})
        self.assertEqual(node.metric("ww_epoch_provider_disagreements_total"), 0)
        self.liar.push(forged)
        until(node.epoch, lambda at: at["chain"].get("pending") == 9)
        self.publish(b"second")
        node.shows(1)
        self.chain.mine(3)
        node.log.until(rf"provider=\S*{self.liar.port} cause=\"it told of head 9 in block")
        until(node.epoch, lambda at: "pending" not in at["chain"])
        self.others_go_on(node)
        self.assertEqual(node.epochs(), [0, 1, 2, 3, 4])

    def test_one_of_another_chain_is_not_counted(self):
        self.liar.fault = only("eth_chainId", lambda call: {"result": hex(4242)})
        node = self.among_others("--chain-id", "31337")
        shown = self.in_state(node, "lacks")
        self.assertEqual(shown["problem"], "it is of chain 4242, and not of 31337")
        node.log.find(rf"cannot be used provider=\S*{self.liar.port} cause=.*of chain 4242")
        self.others_go_on(node)
        node.kill()
        node = self.follow(*METRICS, urls=self.urls)  # it is known by now which chain it is
        node.shows(3)
        self.in_state(node, "lacks")
        node.kill()
        self.data = self.path("other")
        node = self.follow(*METRICS, urls=self.urls)
        node.shows(3)  # and so it is as soon as a quorum has said which chain it is
        self.assertEqual(self.in_state(node, "lacks")["problem"],
                         "it is of chain 4242, and not of 31337")


class VotingTest(LiarCase):
    """Providers that answer all but what counts: the head at a block's hash."""

    PRUNED = staticmethod(only("eth_call", lambda call: {"error": {
        "code": -32000, "message": "header not found"}}))

    def moves_on(self, blocks, node):
        for _ in range(blocks):
            self.chain.mine()
            node.sees(self.chain.number())

    def test_one_that_never_votes_is_no_good_one(self):
        node = self.among_others()
        self.liar.fault = self.PRUNED
        self.moves_on(8, node)
        shown = self.in_state(node, "fails")
        self.assertRegex(shown["problem"], "eth_call: .*header not found")
        self.assertEqual(node.metric("ww_epoch_providers_good"), 2)
        node.log.find("a provider of the chain fails")
        self.assertEqual(len(node.log.all("(a provider of the chain fails)")), 1)
        self.assertEqual(node.log.all("(answers again)"), [])
        self.assertEqual(node.get("/readyz")[0], 200)
        self.others_go_on(node)
        self.liar.fault = None
        node.log.until("answers again")
        self.in_state(node, "answers")

    def test_two_that_never_vote_leave_no_quorum_and_that_is_said(self):
        other = Provider(self, self.chain)
        node = self.among_others(urls=(self.chain.http_url, other.http_url, self.liar.http_url))
        self.liar.fault = other.fault = self.PRUNED
        self.publish(b"second")
        said = (r"no quorum agrees at block \d+: 1 of 3 providers vote; the quorum is 2; "
                r".*eth_call: .*header not found.*; .*eth_call: .*header not found")
        status, why = until(lambda: node.get("/readyz"), lambda got: got[0] == 503)
        self.assertRegex(why, said)
        self.assertRegex(node.epoch()["chain"]["problem"], said)
        self.assertRegex(node.ww("epoch").stdout.decode(), f"(?m)^problem +{said}")
        node.log.until("the providers of the chain have no quorum cause=.*1 of 3 providers vote")
        self.assertEqual(node.metric("ww_epoch_providers_good"), 1)
        self.assertEqual(node.epochs(), [0])
        other.fault = None
        node.shows(1)
        node.log.until("the providers of the chain have a quorum again")
        until(lambda: node.get("/readyz"), lambda got: got[0] == 200)

    def test_a_made_up_hash_is_named(self):
        node = self.among_others()

        def forge(call):
            answer = call.pass_on()
            if answer["result"] and call.params[0].startswith("0x"):
                answer["result"]["hash"] = "0x" + "ab" * 32
            return answer

        self.liar.fault = only("eth_getBlockByNumber", forge)
        self.publish(b"second")
        node.shows(1)
        shown = self.in_state(node, "disagrees")
        self.assertRegex(shown["problem"],
                         rf"block \d+ is 0x{'ab' * 32} to it, and 0x\w+ to a quorum")
        self.assertGreater(shown["disagreements"], 0)
        self.others_go_on(node)

    def test_one_of_another_chain_chooses_no_first_block(self):
        for seq, value in enumerate((b"one", b"two", b"three"), 1):
            self.publish(value)
        with Chain(chain_id=5, slots_in_an_epoch=1) as low:
            self.assertEqual(low.deploy(FIRST), self.stem)
            low.mine(5)
            for place in range(3):
                urls = [self.chain.http_url] * 2
                urls.insert(place, low.http_url)
                node = self.follow(urls=urls, data=self.path(f"place-{place}"))
                node.shows(seq)
                self.assertEqual(node.epochs(), [seq])
                node.log.until("cannot be used provider=.*it is of chain 5, and not of 31337")
                node.kill()

    def test_providers_of_two_chains_are_said_to_be(self):
        with Chain(chain_id=5, slots_in_an_epoch=1) as other:
            other.mine(5)
            node = self.follow(*METRICS, urls=(self.chain.http_url, other.http_url))
            node.log.until("waiting for the chain cause=.*no quorum of providers is of one chain; "
                           ".*: chain 31337; .*: chain 5")
            self.assertRegex(node.get("/readyz")[1], "chain 31337; .*: chain 5")
            node.kill()

    def test_a_chain_that_goes_below_what_was_followed_is_said(self):
        before = self.chain.snapshot()
        self.publish(b"second")
        node = self.follow(*METRICS)
        node.shows(1)
        self.chain.revert(before)
        node.log.until("the chain cannot be followed cause=.*followed to block")
        self.assertEqual(node.get("/readyz")[0], 503)
        self.assertRegex(node.epoch()["chain"]["problem"], "they are behind, or it was taken back")


class FailingTest(LiarCase):
    def fails(self, name, fault, problem, urls=None):
        """A provider that begins well; then this is what it does."""
        with self.subTest(name), contextlib.ExitStack() as at_end:
            self.liar.fault = None
            seq = self.chain.head(self.stem)[0]
            self.node = node = self.follow(*METRICS, urls=urls or self.urls)
            at_end.callback(node.kill)  # the next one has its data folder
            node.shows(seq)
            liar = self.liar.ws_name if urls else self.liar.http_name
            until(lambda: node.provider(liar), lambda at: at["state"] == "answers")
            self.before = node.memory()
            self.liar.fault = fault
            self.publish(name.encode())
            node.shows(seq + 1)
            shown = self.in_state(node, "fails", name=liar)
            self.assertRegex(shown["problem"], problem)
            self.assertGreater(shown["failures"], 0)
            said = node.log.find(rf"a provider of the chain fails.* provider={liar} .*").group(0)
            self.assertRegex(said, problem)
            self.others_go_on(node, [name.encode() + b" and on"])
            self.assertEqual(node.metric("ww_epoch_providers_good"), 2)
            self.assertEqual(node.metric("ww_epoch_provider_disagreements_total"), 0)
            self.liar.fault = None
            node.log.until(rf"answers again provider={liar}")
            self.after = node.memory()

    def test_what_is_no_answer(self):
        html = b"<html><body>Too many requests</body></html>"
        for name, answer, problem in (
            ("429", says(http(429, b'{"error": "slow down"}', "Retry-After: 1\r\n")),
             "HTTP 429: .*slow down"),
            ("html", says(http(200, html)), "no JSON .*<html>"),
            ("html 502", says(http(502, html)), "HTTP 502"),
            ("empty", says(http(200, b"")), "no JSON"),
            ("no id", says(http(200, b'{"result": "0x1"}')), "it has no id"),
            ("another id", says(http(200, b'{"id": 99999, "result": "0x1"}')), "its id is another"),
            ("a list", says(http(200, b"[]")), "no answer of JSON-RPC"),
            ("deep", says(http(200, b"[" * 100_000)), "some 100000 values"),
            ("hung up", says(b""), "."),
            ("half a header", says(b"HTTP/1.1 200 OK\r\nConte"), "."),
            ("half a body", says(http(200, BODY + PIECE)[:-500]), "."),
            ("no HTTP", says(b"SSH-2.0-something else entirely\r\n" * 10), "."),
        ):
            self.fails(name, lambda call, answer=answer: answer, problem)

    def test_what_is_no_answer_to_one_question(self):
        for name, fault, problem in (
            ("null latest", only("eth_getBlockByNumber", lambda call: NULL
                                 if call.params[0] == "latest" else call.pass_on()),
             "eth_getBlockByNumber"),
            ("null head", only("eth_call", lambda call: NULL), "eth_call"),
            ("short head", only("eth_call", lambda call: {"result": "0x00"}), "."),
            ("error in eth_call", only("eth_call", lambda call: {"error": {
                "code": -32000, "message": "header not found"}}), "eth_call: .*header not found"),
            ("a long head", only("eth_call", lambda call: {
                "result": encode_head(9, b"x" * 1025)}), "."),
            ("null block", only("eth_getBlockByNumber", lambda call: NULL
                                if call.params[0].startswith("0x") else call.pass_on()),
             "it has no block"),
        ):
            self.fails(name, fault, problem)

    def test_silence_and_half_a_body_are_given_up(self):
        for name, answer in (("silence", says_and_waits(b"")),
                             ("half a body", says_and_waits(http(200, BODY + PIECE)[:-500]))):
            self.fails(name, lambda call, answer=answer: answer, "no answer within 10s")

    def goes_on(self, name, first, piece, problem, urls=None):
        """It sends the piece without end, and the node keeps little of it."""
        sent, memory = [], []

        def count(total):
            sent.append(total)
            memory.append(self.node.memory())

        self.fails(name, lambda call: says_without_end(first, piece, count), problem, urls)
        growth = max(*memory, self.after) - self.before
        print(f"{name}: {max(sent) >> 10} KiB sent, {growth >> 10} KiB more held", flush=True)
        self.assertLess(max(sent), MANY_BYTES)
        self.assertLess(growth, MANY_BYTES)

    def test_a_body_without_end_is_not_kept(self):
        for name, first, piece, problem in (
            ("a body", ENDLESS + b"\r\n" + BODY, PIECE, "an answer of more than"),
            ("chunks", ENDLESS + b"Transfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + PIECE +
             b"\r\n", "an answer of more than"),
            ("a length", ENDLESS + b"Content-Length: 1073741824\r\n\r\n" + BODY, PIECE,
             "an answer of 1073741824 bytes"),
            ("one chunk", ENDLESS + b"Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n", PIECE,
             "an answer of more than"),
            ("headers", ENDLESS + b"X: ", PIECE, "."),
        ):
            self.goes_on(name, first, piece, problem)

    def test_a_message_without_end_is_not_kept(self):
        urls = (*self.urls[:2], self.liar.ws_url)
        piece = b"\x00\x7f" + (1 << 16).to_bytes(8, "big") + PIECE
        for name, first, problem in (
            ("long", b"\x81\x7f" + (1 << 40).to_bytes(8, "big"), "."),
            ("fragments", b"\x01\x7f" + (1 << 16).to_bytes(8, "big") + PIECE, "."),
        ):
            self.goes_on(name, first, piece, problem, urls)
        self.fails("no text", lambda call: says(frame(b"x", 2)), "it sent what is no text", urls)
        self.fails("closed", lambda call: says(frame(b"\x03\xe8bye", 8)), "it was closed", urls)
        self.fails("junk", lambda call: says(b"\xff" * 100), ".", urls)

    def test_what_is_no_web_socket(self):
        name = self.liar.ws_name
        for fault, problem in ((says(http(403, b"go away")), "HTTP 403, and not a WebSocket"),
                               (says(http(200, b"hello")), "HTTP 200, and not a WebSocket"),
                               (says(b""), ".")):
            self.liar.upgrade_fault = fault
            node = self.follow(*METRICS, urls=(*self.urls[:2], self.liar.ws_url))
            node.shows(self.chain.head(self.stem)[0])
            self.assertRegex(self.in_state(node, "fails", name=name)["problem"], problem)
            self.others_go_on(node)
            node.kill()


if __name__ == "__main__":
    unittest.main()
