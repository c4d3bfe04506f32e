"""Epochs from a contract on a real chain: adopted, revoked, reorganised, and kept over restarts."""
import os
import random
import signal
import subprocess
import sys
import time
import unittest

from nodes import LOOPBACK, cell
from provider import Provider, behind
from stems import FIRST, METRICS, SHELL, StemCase, StemNode, until

BY_HAND = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "chain", "by_hand.py")

SEED = int(os.environ.get("SEED", "0")) or random.SystemRandom().randrange(1, 1 << 32)


class AdoptionTest(StemCase):
    def test_a_head_that_becomes_final_is_the_next_epoch(self):
        node = self.follow(*METRICS, urls=(self.chain.http_url, self.chain.ws_url))
        node.shows(0)
        self.assertEqual(until(lambda: node.get("/readyz"), lambda got: got[0] == 200)[1],
                         "ready\n")
        for seq in range(1, 5):
            value = b"head %d" % seq
            block = self.set_head(value)
            self.chain.mine(2 * self.SLOTS - 1)
            shown = node.sees(block + 1)
            self.assertEqual(shown["seq"], seq - 1, "it is not final yet")
            self.assertEqual(node.metric("ww_epoch_current"), seq - 1)
            self.chain.mine()
            node.shows(seq)
            shown = node.sees(self.chain.number())
            self.assertEqual((shown["seq"], shown["head"], shown["adoptedBlock"]),
                             (seq, "0x" + value.hex(), block))
            self.assertEqual(self.chain.number("finalized"), block)
            self.assertEqual((shown["chain"]["final"], shown["chain"]["latest"],
                              shown["chain"]["lag"]), (block, block + 2, 2))
            self.assertEqual(node.metric("ww_epoch_current"), seq)
            self.assertEqual(node.metric("ww_epoch_lag_blocks"), 2)
            # The first is one of them: from no epoch to one.
            self.assertEqual(node.metric("ww_epoch_revocation_seconds_count"), seq + 1)
        self.assertEqual(node.metric("ww_epoch_provider_disagreements_total"), 0)
        self.assertEqual(node.metric("ww_epoch_providers_good"), 2)
        self.assertEqual(node.epochs(), [0, 1, 2, 3, 4])

    def test_an_operator_sees_where_epochs_come_from(self):
        node = self.follow("--finality", "safe", urls=(self.chain.http_url,) * 2)
        node.shows(0)
        block = self.set_head(b"second")
        self.chain.mine(self.SLOTS)
        node.shows(1)
        node.sees(self.chain.number())
        shown = node.epoch()
        chain = shown["chain"]
        self.assertEqual(shown["source"], "chain")
        self.assertEqual((chain["contract"], chain["chainId"], chain["finality"],
                          chain["quorum"], chain["problem"]), (self.stem, 31337, "safe", 2, ""))
        url = self.chain.http_url
        self.assertEqual([(one["name"], one["state"], one["latest"], one["final"],
                           one["failures"], one["disagreements"]) for one in chain["providers"]],
                         [(f"{url}#{n}", "answers", block + 1, block, 0, 0) for n in (1, 2)])
        text = node.ww("epoch").stdout.decode()
        for line in ("epoch +1", "head +0x7365636f6e64", f"adopted at +block {block}",
                     f"contract +{self.stem} on chain 31337", "finality +safe",
                     f"blocks +{block} final, {block + 1} latest, 1 between", "quorum +2 of 2",
                     rf"{url}#1 +answers +{block + 1} +{block} +0 +0"):
            self.assertRegex(text, rf"(?m)^{line}\s*$")

    def test_what_is_pushed_is_not_waited_for(self):
        node = self.follow(urls=(self.chain.ws_url,), interval="10m")
        node.shows(0)
        for seq in range(1, 4):
            self.set_head(b"%d" % seq)
            shown = until(node.epoch, lambda shown: "pending" in shown["chain"])
            self.assertEqual((shown["seq"], shown["chain"]["pending"]), (seq - 1, seq))
            self.finish()
            node.shows(seq)
            self.assertNotIn("pending", node.epoch()["chain"])

    def test_heads_that_follow_each_other_at_once_are_passed_over_and_none_comes_twice(self):
        node = self.follow()
        node.shows(0)
        for number in range(30):
            self.set_head(b"%d" % number)
        self.finish()
        node.shows(30)
        self.assertEqual(node.epochs(), sorted(set(node.epochs())))
        until(node.adopted, lambda heads: heads[-1:] == [("30", b"29".hex())])

    def test_a_chain_is_tried_as_the_document_shows(self):
        with subprocess.Popen([sys.executable, BY_HAND, "0"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, text=True) as by_hand:
            words = by_hand.stdout.readline().split()
            self.assertEqual((words[:3], words[-3:]), (
                ["build/ww", "run", "--stem"], ["examples/images/default", "--", "watch"]))
            node = StemNode(self, *words[2:-3])
            node.shows(0)
            by_hand.stdin.write("second\n")
            by_hand.stdin.flush()
            self.assertRegex(by_hand.stdout.readline(),
                             rf"head 0x{b'second'.hex()} is in block \d+; two later it is final")
            node.shows(1)
            node.kill()

    def test_without_stem_it_is_this_node_alone(self):
        self.start()
        done = self.exec(stdin=b"exit 4\n")
        self.assertEqual(done.returncode, 4)


class RevocationTest(StemCase):
    def test_all_that_a_session_handed_out_fails_with_its_reason(self):
        node = self.follow(image=cell("cell-sessions"), words=["hold"])
        node.out.until("^holding$")
        self.publish(b"second")
        for name in ("a wait in flight", "a read in flight", "poller", "host", "host.executor",
                     "executor", "runBytes", "process", "kill", "stdin", "stdout"):
            node.out.until(f"^{name}: staleEpoch: issued 0, current 1$")
        node.out.until("^epoch 1$")
        self.assertEqual(node.wait(), 0)

    def test_clients_lose_theirs_and_get_another(self):
        me = self.keygen("me")
        node = self.follow("--listen", LOOPBACK, "--allow", me)
        address = node.log.until(r"listening address=(\S+)").group(1)
        there = ("--on", address, "--identity", self.path("me"))
        node.shows(0)
        for seq, grace in enumerate(range(2)):
            clients = [self.talk_to("--data-dir", self.data), self.talk_to(*there)]
            self.publish(b"%d" % grace)
            for client in clients:
                self.assertEqual(client.wait(60), 125)
                self.assertIn(f"staleEpoch: issued {seq}, current {seq + 1}".encode(),
                              client.stderr.read())
            node.shows(seq + 1)
            self.assertEqual(self.exec(*there, stdin=b"exit 6\n").returncode, 6)

    def test_cells_of_a_revoked_session_are_ended_and_pid0_is_not(self):
        for grace in ("0", "300ms"):
            with self.subTest(grace=grace):
                node = self.follow("--grace", grace, data=self.path(f"data-{grace}"))
                self.data = node.data
                before = self.chain.head(self.stem)[0]
                node.shows(before)
                cells = [self.leave(cell("cell-plain"), "--", *words)
                         for words in (["sleep", "1000000000"], ["spin"])]
                self.assertEqual([node.exit_code(one) for one in cells], [None, None])
                self.publish(grace.encode())
                for one in cells:
                    code = until(lambda: node.exit_code(one), lambda code: code is not None)
                    self.assertEqual(code, 137)
                node.shows(before + 1)
                self.assertEqual(self.exec(cell("cell-plain"), "--", "exit", "3").returncode, 3)
                self.assertEqual(len(node.epochs()), 2)

    def test_who_ends_within_the_grace_keeps_its_exit_code(self):
        node = self.follow("--grace", "10m")
        node.shows(0)
        for seq, sleep in enumerate((1500, 6000, 24000), 1):
            one = self.leave(cell("cell-plain"), "--", "sleep", str(sleep))
            self.publish(b"%d" % seq)
            node.shows(seq)
            if node.exit_code(one) is not None:
                continue  # this machine is slow: it ended in its own epoch
            code = until(lambda: node.exit_code(one), lambda code: code is not None)
            return self.assertEqual(code, 0)
        self.fail("each had ended before its epoch")


class ReorganisationTest(StemCase):
    SLOTS = 5

    def test_what_a_reorganisation_takes_back_never_counted(self):
        for scheme in ("http", "ws"):
            with self.subTest(scheme=scheme):
                seq, head = self.chain.head(self.stem)
                url = self.chain.http_url if scheme == "http" else self.chain.ws_url
                node = self.follow(*METRICS, urls=(url,), data=self.path(scheme))
                node.shows(seq)
                block = self.set_head(b"gone")
                self.chain.mine(2)
                node.sees(block + 2)
                self.chain.reorg(4)
                self.assertEqual(self.chain.head(self.stem), (seq, head))
                self.chain.mine(20)
                shown = until(node.epoch, lambda at: at["chain"]["final"] >= block + 5)
                self.assertEqual((shown["seq"], shown["head"]), (seq, "0x" + head.hex()))
                kept = self.publish(f"kept {scheme}".encode())
                node.shows(seq + 1)
                shown = node.epoch()
                self.assertEqual((shown["head"], shown["adoptedBlock"]),
                                 ("0x" + f"kept {scheme}".encode().hex(), kept))
                self.assertEqual(node.epochs(), [seq, seq + 1])
                self.assertNotIn(b"gone".hex(), [head for _, head in node.adopted()])

    def test_another_head_in_place_of_one_is_adopted_when_it_is_final(self):
        node = self.follow(urls=(self.chain.http_url, self.chain.ws_url))
        node.shows(0)
        block = self.set_head(b"gone")
        self.chain.mine(3)
        node.sees(block + 3)
        other = self.chain.set_head_tx(self.stem, b"other")
        self.chain.reorg(5, [(other, 1)])
        self.assertEqual(self.chain.head(self.stem), (1, b"other"))
        self.chain.mine(20)
        node.shows(1)
        said = until(node.adopted, lambda heads: len(heads) > 1)
        self.assertEqual(said, [("0", FIRST.hex()), ("1", b"other".hex())])
        # That the ws one told of a head and never that it was taken back may be said, not held on.
        self.chain.mine(1)
        until(node.epoch, lambda at: [one["state"] for one in at["chain"]["providers"]]
              == ["answers"] * 2)

    def too_deep(self, *flags, **options):
        """A node whose final block is gone."""
        node = self.follow("--finality", "depth:2", *METRICS, *flags, **options)
        node.log.until("a head is final on the chain epoch=0")
        return node

    def test_what_was_final_and_is_not_ends_the_node(self):
        node = self.too_deep()
        node.shows(0)
        self.publish(b"second")
        node.shows(1)
        client = self.talk_to("--data-dir", self.data)
        until(node.epoch, lambda at: at["chain"]["final"] == self.chain.number() - 2)
        self.chain.reorg(5)
        self.assertEqual(node.wait(), 125)
        node.log.until(r"all sessions are revoked.*reorg-too-deep: block \d+ was 0x\w+ and is 0x")
        node.log.until("the node ends. Find out what became of the chain; .*the same command and, "
                       "for one start, --forget-epoch")
        self.assertEqual(node.epochs(), [0, 1])
        self.assertEqual(client.wait(60), 125)

        again = self.follow("--finality", "depth:2")
        self.assertEqual(again.wait(), 125)
        self.assertRegex(again.log.text(), r"reorg-too-deep: block \d+ was 0x\w+ and is 0x")
        again.log.find("--forget-epoch")
        self.assertEqual(again.out.text(), "")

        forgetful = self.follow("--finality", "depth:2", "--forget-epoch")
        forgetful.log.until(r"--forget-epoch: what was followed before is forgotten epoch=1 "
                            r"block=\d+ hash=0x\w{64} chain=31337 advice=.*take it out")
        forgetful.shows(1)
        self.publish(b"third")
        forgetful.shows(2)
        self.assertEqual(forgetful.signal(signal.SIGTERM), 128 + signal.SIGTERM)
        self.follow("--finality", "depth:2").shows(2)

    def test_a_head_that_was_final_and_is_gone_ends_the_node_until_it_is_forgotten(self):
        node = self.too_deep()
        node.shows(0)
        block = self.publish(b"second")
        node.shows(1)
        self.chain.reorg(self.chain.number() - block + 1)
        self.assertEqual(self.chain.head(self.stem)[0], 0)
        self.assertEqual(node.wait(), 125)
        self.assertEqual(self.follow("--finality", "depth:2").wait(), 125)
        node = self.follow("--finality", "depth:2", "--forget-epoch")
        node.shows(0)

    def test_it_stays_without_authority_if_asked_to(self):
        node = self.too_deep("--stay", "--grace", "0", image=SHELL)
        node.write(b"echo before\n")
        node.out.until("Echo: before$")
        client = self.talk_to("--data-dir", self.data)
        left = self.leave(cell("cell-plain"), "--", "sleep", "1000000000")
        self.assertIsNone(node.exit_code(left))
        until(node.epoch, lambda at: at["chain"]["final"] == self.chain.number() - 2)
        self.assertEqual(node.get("/readyz")[0], 200)
        self.chain.reorg(5)
        node.log.until(r"runs on without authority \(--stay\)")
        self.assertEqual(client.wait(60), 125)
        self.assertIn(b"reorg-too-deep", client.stderr.read())
        done = self.exec(cell("cell-plain"), "--", "exit", "3")
        self.assertEqual(done.returncode, 125)
        for done in (done, node.ww("epoch"), node.ww("ps")):
            said = done.stderr.decode()
            self.assertRegex(said, "unauthorized: reorg-too-deep: .*; find out what became of the "
                             "chain, end the node, and start it with the same command and, this "
                             "once, --forget-epoch")
            self.assertNotRegex(said, "--allow|keygen|--identity")
        node.write(b"echo after\n")
        node.log.until("^unauthorized: reorg-too-deep")
        status, why = node.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("reorg-too-deep: block ", why)
        self.assertEqual(node.metric("ww_epoch_ready"), 0)
        until(lambda: node.metric("ww_cells"), lambda count: count == 1)  # pid0 alone
        self.publish(b"a head on the other branch")
        self.assertEqual(self.exec(stdin=b"exit 6\n").returncode, 125)
        self.assertIsNone(node.process.poll())
        self.assertEqual(node.signal(signal.SIGINT), 128 + signal.SIGINT)


class RestartTest(StemCase):
    def test_no_epoch_is_lower_after_a_kill(self):
        print(f"SEED={SEED}", flush=True)
        chance = random.Random(SEED)
        provider, highest = Provider(self, self.chain), 0
        for number in range(10):
            # From the second on, it begins before a chain that is as it was at the last beginning.
            node = self.follow(urls=(provider.http_url,))
            first = int(node.out.until(r"^pid0: epoch (\d+)$").group(1))
            self.assertGreaterEqual(first, highest)
            self.assertGreaterEqual(node.epoch()["seq"], highest)
            provider.fault = None
            then = behind(self.chain, looks=3)
            heads = chance.randrange(1, 4)
            for one in range(heads):
                self.publish(b"%d.%d" % (number, one))
            time.sleep(chance.uniform(0, 0.4))  # the moment of the kill is random
            node.kill()
            said = [int(seq) for seq, _ in node.adopted()]
            self.assertEqual(said, sorted(said))
            highest = max(highest, *node.epochs(), *said)
            provider.fault = then
        node = self.follow()
        node.shows(self.chain.head(self.stem)[0])

    def test_a_chain_that_is_behind_is_not_believed(self):
        before = self.chain.snapshot()
        self.publish(b"second")
        node = self.follow()
        node.shows(1)
        self.assertEqual(node.signal(signal.SIGTERM), 128 + signal.SIGTERM)
        final = self.chain.number("finalized")
        self.chain.revert(before)
        self.assertEqual(self.chain.head(self.stem, "finalized"), (0, FIRST))
        node = self.follow()
        node.log.until(rf"waiting for the chain cause=.* followed to\"?={final}")
        self.assertEqual(node.out.text(), "")
        self.assertNotRegex(node.log.text(), "a head is final")
        # And when it has got there it is another: what was final is not in it.
        self.chain.mine(final)
        self.assertEqual(node.wait(), 125)
        node.log.find("reorg-too-deep")

    def test_what_was_final_while_it_was_away_is_its_epoch_at_once(self):
        node = self.follow()
        node.shows(0)
        node.kill()
        for number in range(5):
            self.publish(b"%d" % number)
        node = self.follow()
        node.shows(5)
        self.assertEqual(node.epochs(), [5])

    def test_another_contract_in_the_same_folder_is_followed_by_itself(self):
        self.publish(b"second")
        node = self.follow()
        node.shows(1)
        node.kill()
        first, self.stem = self.stem, self.chain.deploy(b"another's")
        self.finish()
        node = self.follow()
        node.shows(0)
        node.kill()
        self.stem = first
        node = self.follow()
        node.shows(1)


if __name__ == "__main__":
    unittest.main()
