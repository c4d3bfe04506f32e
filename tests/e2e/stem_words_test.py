"""What an operator says of a chain, and is told: wrong words, chains that are not there yet,
secrets of URLs, and TLS."""
import os
import re
import signal
import socket
import ssl
import subprocess
import unittest

from nodes import ww
from provider import Provider, behind, http, says
from stems import FIRST, LIMIT_S, METRICS, StemCase, StemNode, until
from chain import Chain  # stems has put its folder on the path

SECRET = "s3cr3t-0f-4-url"
ADDRESS = "0x" + "5f" * 20
NOWHERE = "http://127.0.0.1:1"


class WrongWordsTest(StemCase):
    def refused(self, *words, **options):
        done = ww("run", "--data-dir", self.data, *words, **options)
        self.assertEqual((done.returncode, done.stdout), (125, b""), done.stderr)
        said = done.stderr.decode()
        self.assertNotIn(SECRET, said)
        self.assertNotRegex(said, r"\.c\+\+|stack:|exception")
        return said

    def test_words_that_cannot_be(self):
        stem, url = ("--stem", ADDRESS), ("--rpc-url", NOWHERE)
        for words, said in (
            (stem, "--stem takes a provider of its chain: --rpc-url URL"),
            *((words, f"{words[0]} is for --stem, which is not given") for words in (
                url, ("--quorum", "1"), ("--finality", "safe"), ("--chain-id", "1"),
                ("--chain-interval", "4s"), ("--stay",), ("--forget-epoch",))),
            ((*stem, *url, "--advance-on-signal"), "--advance-on-signal and --stem each say what "
             "moves the epoch: give one of the two"),
            (("--stem", "0x123", *url), "0x123 is no address of a contract"),
            (("--stem", ADDRESS[:-1] + "g", *url), "is no address of a contract"),
            (("--stem", ADDRESS + "00", *url), "is no address of a contract"),
            (("--stem", "", *url), "--stem"),
            ((*stem, *url, "--quorum", "2"), "--quorum 2: so many providers cannot agree; "
             "--rpc-url names 1"),
            ((*stem, *url, "--quorum", "0"), "--quorum"),
            ((*stem, *url, "--quorum", "-1"), "--quorum"),
            ((*stem, *url, "--finality", "nonsense"),
             "nonsense is none of finalized, safe and depth:K"),
            ((*stem, *url, "--finality", "depth:"), "is none of finalized, safe and depth:K"),
            ((*stem, *url, "--finality", "depth:-1"), "is none of finalized, safe and depth:K"),
            *(((*stem, *url, "--chain-id", word), f"{word} is no chain's id: a number from 1")
              for word in ("0", "x", "0x1", "010", "-1")),
            ((*stem, *url, "--chain-interval", "1ms"), "is not between 100ms and 10m"),
            *(((*stem, *url, "--chain-interval", word), f"{word} is no duration, such as 4s")
              for word in ("soon", "5")),
            ((*stem, *url, "--grace", "soon"), "soon is no duration"),
        ):
            with self.subTest(words=words):
                self.assertIn(said, self.refused(*words))

    def test_urls_that_cannot_be_are_said_without_their_secrets(self):
        for url, said in (
            (f"ftp://host/{SECRET}", "not by ftp"),
            (f"file:///{SECRET}", "http, https, ws or wss"),
            (f"host/{SECRET}", "this is no URL of a provider"),
            (SECRET, "this is no URL of a provider"),
            (f"https://user:{SECRET}@host/v2", "with a user's name"),
            (f"https://{SECRET}@host/v2", "with a user's name"),
            (f"https:///{SECRET}", "."),
            (f"http://a b/{SECRET}", "."),
            (f"http://host/%zz{SECRET}", "."),
            ("", "."),
        ):
            with self.subTest(url=url):
                self.assertRegex(self.refused("--stem", ADDRESS, "--rpc-url", NOWHERE,
                                              "--rpc-url", url), f"--rpc-url.*{said}")
        said = self.refused("--stem", ADDRESS,
                            env={**os.environ, "WW_RPC_URL": f"ftp://host/{SECRET}"})
        self.assertIn("--rpc-url, number 1: ", said)
        self.assertIn("Taken from the environment: WW_RPC_URL", said)

    def test_urls_that_lead_nowhere_are_not_asked_for_ever(self):
        for url in (f"http://host:nonsense/{SECRET}", f"http://[::1/{SECRET}",
                    f"http://127.0.0.1:99999/{SECRET}"):
            with self.subTest(url=url):
                self.assertRegex(self.refused("--stem", ADDRESS, "--rpc-url", url), "--rpc-url")

    def test_variables_of_a_node_are_no_matter_to_other_commands(self):
        done = ww("ps", "--data-dir", self.data,
                  env={**os.environ, "WW_RPC_URL": NOWHERE, "WW_FINALITY": "safe"})
        self.assertIn("no node runs here", done.stderr.decode())

    def test_the_environment_says_it_as_well(self):
        env = {**os.environ, "WW_STEM": self.stem, "WW_RPC_URL": self.chain.http_url,
               "WW_CHAIN_INTERVAL": "100ms", "WW_FINALITY": "depth:1", "WW_QUORUM": "1"}
        node = StemNode(self, env=env)
        node.shows(0)
        self.assertEqual(node.epoch()["chain"]["finality"], "depth:1")


class NotYetTest(StemCase):
    def ends(self, node):
        self.assertEqual(node.out.text(), "")
        self.assertEqual(node.signal(signal.SIGINT), 128 + signal.SIGINT)

    def test_a_chain_without_the_tag_is_told_of_a_depth(self):
        provider = Provider(self, self.chain)
        for tag in ("finalized", "safe"):
            provider.fault = lambda call: (
                {"error": {"code": -39001, "message": "unknown block"}}
                if call.params and call.params[0] in ("finalized", "safe") else call.pass_on())
            node = self.follow("--finality", tag, urls=(provider.http_url,))
            self.assertEqual(node.wait(), 125)
            self.assertRegex(node.log.text(), rf"no `{tag}` block: .*unknown block.*"
                             r"Give a number of blocks: --finality depth:K")
            self.assertEqual(node.out.text(), "")
        node = self.follow("--finality", "depth:3", urls=(provider.http_url,))
        node.log.until(r"no Stem contract is at this address yet; waiting for it")
        self.chain.mine()
        node.shows(0)

    def test_a_tag_that_is_refused_for_a_moment_is_waited_for(self):
        provider, refusals = Provider(self, self.chain), []

        def refuse_twice(call):
            if call.params and call.params[0] == "finalized" and len(refusals) < 2:
                refusals.append(call)
                return {"error": {"code": -32005, "message": "slow down"}}
            return call.pass_on()

        provider.fault = refuse_twice
        node = self.follow(urls=(provider.http_url,))
        node.log.until("a provider of the chain fails; it is asked again later.*slow down")
        node.shows(0)

    def test_a_chain_too_young_is_waited_for(self):
        provider = Provider(self, self.chain)
        provider.fault = lambda call: ({"result": None} if call.params and
                                       call.params[0] == "finalized" else call.pass_on())
        node = self.follow(urls=(provider.http_url,))
        node.log.until("waiting for the chain cause=.*no block is final to a quorum")
        self.assertEqual(node.out.text(), "")
        provider.fault = None
        node.shows(0)

    def test_a_provider_that_is_not_there_is_waited_for_until_ctrl_c(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        url = f"http://127.0.0.1:{port}"
        node = self.follow(*METRICS, urls=(url,))
        said = node.log.until(rf"a provider of the chain fails.*provider={url} (.*)").group(1)
        self.assertRegex(said, "refused")
        self.assertNotRegex(said, r"\.c\+\+|stack:|; |\w\(")
        node.log.until(rf"waiting for the chain cause=.*no quorum of providers answers: 0 of 1 do, "
                       rf"the quorum is 1; {url}: .*refused.*answering=0")
        self.assertEqual(node.get("/healthz")[0], 200)
        status, why = node.get("/readyz")
        self.assertEqual(status, 503)
        self.assertIn("no quorum of providers answers: 0 of 1", why)
        self.ends(node)
        node = self.follow(urls=(url,))
        node.log.until("a provider of the chain fails")
        with Chain(port=port, slots_in_an_epoch=1) as chain:  # it comes up
            self.assertEqual(chain.deploy(FIRST), self.stem)
            chain.mine(2)
            node.shows(0)
            node.kill()

    def test_ctrl_c_ends_whoever_waits_for_silence(self):
        with socket.create_server(("127.0.0.1", 0)) as silent:
            for scheme in ("http", "ws", "https", "wss"):
                node = self.follow(urls=(f"{scheme}://127.0.0.1:{silent.getsockname()[1]}",))
                accepted, _ = silent.accept()
                with accepted:
                    self.ends(node)

    def test_a_contract_that_is_not_there_is_waited_for(self):
        with Chain(slots_in_an_epoch=1) as chain:
            chain.mine(3)
            node = self.follow(*METRICS, urls=(chain.http_url,))
            node.log.until(rf"no Stem contract is at this address yet; waiting for it "
                           rf"contract={self.stem} chain=31337 .*final block.*=1")
            for _ in range(2):  # again and again
                node.log.until(rf"waiting for the chain cause=.*finds no contract at {self.stem} "
                               r"in final block 1 of chain 31337: check --stem.*final=1")
            self.assertIn(f"finds no contract at {self.stem}", node.get("/readyz")[1])
            for _ in range(20):  # links that say nothing keep nobody else out
                silent = socket.socket(socket.AF_UNIX)
                self.addCleanup(silent.close)
                silent.connect(f"{self.data}/ww.sock")
            for command in ("epoch", "ps"):
                done = node.ww(command)
                self.assertEqual(done.returncode, 125)
                self.assertRegex(done.stderr.decode(), "epochPending: this node runs, and waits "
                                 f"for the chain: .*finds no contract at {self.stem}.*/readyz")
            self.assertEqual(node.out.text(), "")
            self.assertEqual(chain.deploy(FIRST), self.stem)
            chain.mine()
            chain.mine()
            node.shows(0)
            self.assertEqual(node.epoch()["adoptedBlock"], chain.number("finalized"))
            chain.set_head(self.stem, b"second")
            chain.mine(2)
            node.shows(1)
            node.kill()

    def test_what_is_at_the_address_may_be_no_stem(self):
        for code, said in (("00", "no Stem contract is at this address"),
                           ("60006000fd", "eth_call: .*revert"),
                           ("60206000f3", "this is no Stem contract: what it says")):
            size = f"{len(code) // 2:02x}"
            made = self.chain.transact(f"0x60{size}600c60003960{size}6000f3{code}")
            self.stem = made["contractAddress"]
            self.finish()
            node = self.follow()
            node.log.until(said)
            self.ends(node)

    def test_a_chain_that_is_not_the_one_that_was_meant(self):
        node = self.follow("--chain-id", "1")
        self.assertEqual(node.wait(), 125)
        self.assertRegex(node.log.text(), "it is of chain 31337, and not of 1")
        node = self.follow()
        node.shows(0)
        node.kill()
        node = self.follow("--chain-id", "1")
        self.assertEqual(node.wait(), 125)
        self.assertRegex(node.log.text(), "followed on chain 31337 before, and not on 1: give "
                         "another --data-dir")
        node = self.follow("--chain-id", "31337")
        node.shows(0)
        node.kill()
        with Chain(chain_id=4242, slots_in_an_epoch=1) as chain:
            self.assertEqual(chain.deploy(FIRST), self.stem)
            chain.mine(9)
            node = self.follow(urls=(chain.http_url,))
            self.assertEqual(node.wait(), 125)
            self.assertRegex(node.log.text(), "it is of chain 4242, and not of 31337")

    def test_a_provider_that_is_behind_is_waited_for(self):
        provider = Provider(self, self.chain)
        then = behind(self.chain)
        block = self.publish(b"second")
        node = self.follow()
        node.shows(1)
        node.kill()
        provider.fault = then
        node = self.follow(urls=(provider.http_url,))
        said = node.log.until(r"waiting for the chain cause=.*followed to\"?=(\d+)").group(1)
        self.assertEqual((int(said), node.out.text()), (block, ""))
        node.log.find(rf"is the last that is final to a quorum of providers, and the chain was "
                      rf"followed to block {block} before")
        self.assertNotRegex(node.log.text(), "a head is final")
        provider.fault = None
        node.shows(1)
        self.assertEqual(node.epochs(), [1])


class SecretTest(StemCase):
    """The path and the query of a provider's URL may be its key."""

    def setUp(self):
        super().setUp()
        self.provider = Provider(self, self.chain, path=f"/v2/{SECRET}?key={SECRET}")

    def keeps_it(self, node):
        """Nothing that it says has it, and something is said."""
        texts = [node.out.text(), node.log.text()]
        if node.process.poll() is None and node.epochs():
            texts += [node.get("/metrics")[1], node.get("/readyz")[1]]
            texts += [done.stdout.decode() + done.stderr.decode()
                      for done in (node.ww("epoch"), node.ww("epoch", "-o", "json"))]
        for text in texts:
            self.assertNotIn(SECRET, text)
        self.assertIn("127.0.0.1", "".join(texts))

    def test_it_is_shown_nowhere(self):
        for url in (self.provider.http_url, self.provider.ws_url):
            node = self.follow(*METRICS, "--log-level", "trace", urls=(url,))
            node.shows(self.chain.head(self.stem)[0])
            self.publish(url.encode())
            node.shows(self.chain.head(self.stem)[0])
            self.keeps_it(node)
            node.kill()

    def test_it_is_not_shown_by_what_fails(self):
        url = self.provider.http_url
        tells = f"there is nothing at /v2/{SECRET}?key={SECRET}, nor at {url}".encode()
        for number, fault in enumerate((
            says(http(404, tells)),
            says(http(302, b"", f"Location: /v3/{SECRET}\r\n")),
            says(http(200, tells)),
            says(b""),
            {"error": {"code": -32000, "message": tells.decode()}},
        )):
            for url in (self.provider.http_url, self.provider.ws_url):
                with self.subTest(fault=fault, url=url):
                    self.provider.fault = None
                    node = self.follow(*METRICS, "--log-level", "trace", urls=(url,),
                                       data=self.path(f"{number}-{url[:2]}"))
                    node.shows(0)
                    self.provider.fault = lambda call, fault=fault: fault
                    node.log.until("a provider of the chain fails")
                    self.keeps_it(node)
                    node.kill()

    def test_no_part_of_it_is_shown_where_what_fails_is_cut_short(self):
        for before in range(178, 190, 2):  # some 200 characters are shown
            tells = "x" * before + f" /v2/{SECRET} is nowhere"
            for fault in (says(http(404, tells.encode())), says(http(200, tells.encode())),
                          {"error": {"code": -32000, "message": tells}}):
                self.provider.fault = None
                node = self.follow(urls=(self.provider.http_url,))
                node.shows(0)
                self.provider.fault = lambda call, fault=fault: fault
                said = node.log.until("a provider of the chain fails.*").group(0)
                node.kill()
                self.assertIn("xxx", said)
                self.assertNotIn(SECRET[:8], said)

    def test_it_is_not_shown_by_one_that_is_not_there(self):
        for scheme in ("http", "https", "ws", "wss"):
            for place in ("127.0.0.1:1", "nobody.invalid"):
                node = self.follow("--log-level", "trace",
                                   urls=(f"{scheme}://{place}/v2/{SECRET}?key={SECRET}",))
                node.log.until(f"a provider of the chain fails.*{place}")
                self.assertNotIn(SECRET, node.log.text())
                node.kill()


class TlsTest(StemCase):
    def setUp(self):
        super().setUp()
        self.make("ca", "-subj", "/CN=a test's authority", "-addext", "keyUsage=keyCertSign")
        self.trusted = {**os.environ, "SSL_CERT_FILE": self.path("ca.pem")}

    def make(self, name, *words):
        subprocess.run(
            ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
             "ec_paramgen_curve:P-256", "-nodes", "-keyout", self.path(f"{name}.key"), "-out",
             self.path(f"{name}.pem"), *words], check=True, capture_output=True, timeout=LIMIT_S)

    def provider(self, name, *words, subject="DNS:localhost"):
        """One with a certificate of the authority's, unless the words have it otherwise."""
        issuer = words or ("-CA", self.path("ca.pem"), "-CAkey", self.path("ca.key"))
        self.make(name, "-subj", f"/CN={name}", "-addext", f"subjectAltName={subject}",
                  "-addext", "basicConstraints=critical,CA:FALSE", *issuer)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.path(f"{name}.pem"), self.path(f"{name}.key"))
        return Provider(self, self.chain, tls=context)

    def urls_of(self, provider, host="localhost"):
        return [url.replace("127.0.0.1", host) for url in (provider.http_url, provider.ws_url)]

    def test_https_and_wss_are_followed(self):
        for url in self.urls_of(self.provider("good")):
            seq = self.chain.head(self.stem)[0]
            node = self.follow(urls=(url,), env=self.trusted)
            node.shows(seq)
            self.publish(url.encode())
            node.shows(seq + 1)
            node.kill()

    def refused(self, url, reason, **options):
        node = self.follow(urls=(url,), **options)
        said = node.log.until("a provider of the chain fails.* cause=(.*)").group(1)
        self.assertRegex(said, reason)
        self.assertNotRegex(said, r"\.c\+\+|stack:|\w\(")
        self.assertEqual(node.signal(signal.SIGINT), 128 + signal.SIGINT)
        self.assertEqual(node.out.text(), "")

    def test_an_untrusted_certificate_is_refused(self):
        good = self.provider("good")
        wrong = self.provider("wrong", subject="DNS:other.example")
        own = self.provider("own", "-days", "30")
        for pair in zip(*map(self.urls_of, (good, wrong, own))):
            untrusted, other_name, self_signed = pair
            self.refused(untrusted, "(?i)certificate")
            self.refused(other_name, "(?i)certificate|hostname", env=self.trusted)
            self.refused(self_signed, "(?i)certificate", env=self.trusted)
        self.assertEqual([one.asked for one in (good, wrong, own)], [[], [], []])

    def test_an_address_in_a_certificate_counts(self):
        provider = self.provider("address", subject="IP:127.0.0.1")
        for url in self.urls_of(provider, "127.0.0.1"):
            node = self.follow(urls=(url,), env=self.trusted)
            node.shows(0)
            node.kill()

    def test_a_plain_provider_is_not_spoken_to_over_tls(self):
        plain = Provider(self, self.chain)
        for url in self.urls_of(plain):
            self.refused(re.sub("^(http|ws)", r"\1s", url), ".", env=self.trusted)
        self.assertEqual(plain.asked, [])
        secure = self.provider("good")
        for url in self.urls_of(secure):
            self.refused(re.sub("^(http|ws)s", r"\1", url), ".", env=self.trusted)
        self.assertEqual(secure.asked, [])


if __name__ == "__main__":
    unittest.main()
