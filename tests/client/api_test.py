#!/usr/bin/env python3
"""The HTTP API, the command line's JSON, health, metrics and notifications, with the real manager, gateway and
command line (no machines): everything that is documented is there and answers as documented.

Usage: api_test.py BUILD-FOLDER [-k NAME]
"""
import contextlib
import hashlib
import hmac
import http.server
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.error
import urllib.request
from pathlib import Path

import jsonschema

BUILD = Path(sys.argv.pop(1)) if len(sys.argv) > 1 else Path("build/release")
SOURCE = Path(__file__).resolve().parents[2]
PAGES = SOURCE / "client/gateway/pages"
DESCRIPTION = json.loads((PAGES / "openapi.json").read_text(encoding="utf-8"))
SCHEMAS = {path.name: json.loads(path.read_text(encoding="utf-8")) for path in PAGES.glob("*.schema.json")}


def check(value, schema):
    """Validates against a schema of the project; `schema` may refer to any of them."""
    resolver = jsonschema.RefResolver("", schema, store=SCHEMAS)
    jsonschema.Draft202012Validator(schema, resolver=resolver).validate(value)


def until(condition, what, seconds=20):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Site:
    """A manager, a gateway and keys in a temporary folder; nothing is left of it."""

    def __init__(self):
        self.stack = contextlib.ExitStack()
        self.home = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="us-api-")))
        self.command = BUILD / "client/command/understudy"
        self.daemon = BUILD / "manager/understudyd"
        subprocess.run([self.daemon, "init", "--dir", self.home], check=True, stdout=subprocess.DEVNULL)
        keys = {role: self.key(role) for role in ("operator", "observer", "gateway")}
        (self.home / "images").mkdir()
        (self.home / "images/base.img").write_bytes(b"")
        (self.home / "agent.img").write_bytes(b"")
        roles = {"operator": "administrator"}
        peers = "".join(f'[[peer]]\nname = "{role}"\nrole = "{roles.get(role, role)}"\nkey = \'{key}\'\n' for role, key in keys.items())
        (self.home / "understudyd.toml").write_text(f"""
[manager]
state_dir = "{self.home}"
listen = "tcp://127.0.0.1:0"
[instances]
image_dir = "{self.home}/images"
agent_image = "{self.home}/agent.img"
root = "{self.home}/q"
[[host]]
name = "alpha"
uri = "test:///default"
vcpus = 4
memory_mib = 4096
[[host]]
name = "cellar"
uri = "qemu+unix:///system?socket=/nowhere/libvirt-sock"
vcpus = 4
memory_mib = 4096
fence_agent = "{self.fence_agent()}"
fence_options = ["plug=7"]
[[pool]]
flavour = "small"
min_idle = 0
[[profile]]
name = "office"
flavour = "small"
separation = "instance"
[[profile.application]]
name = "xterm"
title = "Terminal"
command = ["xterm"]
[[terminal]]
name = "desk"
profile = "office"
{peers}""", encoding="utf-8")
        self.manager = None
        self.gateway = None
        self.start_manager()
        self.keys = {role: self.gateway_command("key", "add", role, "--role", role).stdout.strip() for role in ("administrator", "operator", "observer")}
        self.port = self.start_gateway()
        until(lambda: self.get("/health")[0] == 200, "the gateway is ready")

    def key(self, role):
        subprocess.run([self.command, "keys", "new", "--out", self.home / f"{role}.key"], check=True, stdout=subprocess.DEVNULL)
        return re.search(r'public_key *= *["\'](.*)["\']', (self.home / f"{role}.key").read_text(encoding="utf-8")).group(1)

    def fence_agent(self):
        """Switches a file off, unless the file says "stuck"."""
        power = self.home / "power"
        power.write_text("ON", encoding="utf-8")
        agent = self.home / "fence_file"
        agent.write_text(f"""#!/bin/sh
asked=$(cat)
if [ "$(cat {power})" = stuck ]; then echo "the plug is stuck"; exit 1; fi
case "$asked" in *action=off*) echo OFF >{power};; esac
echo "Status: $(cat {power})"
case "$asked:$(cat {power})" in *action=status:OFF) exit 2;; esac
""", encoding="utf-8")
        agent.chmod(0o755)
        return agent

    def host(self, name):
        return next(host for host in json.loads(self.get("/api/v1/hosts")[1]) if host["name"] == name)

    def spawn(self, log, *words):
        with open(self.home / log, "a", encoding="utf-8") as file:
            return subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=file)

    def start_manager(self):
        endpoint = self.home / "endpoint"
        self.manager = self.spawn("manager.log", self.daemon, "--config", self.home / "understudyd.toml")
        until(lambda: endpoint.exists() and self.manager.poll() is None, "the manager runs; see manager.log")
        server = re.search(r'public_key *= *["\'](.*)["\']', (self.home / "manager.keys").read_text(encoding="utf-8")).group(1)
        for role in ("operator", "observer", "gateway"):
            text = f"manager = \"{endpoint.read_text(encoding='utf-8').strip()}\"\nmanager_key = '{server}'\nkey_file = '{self.home}/{role}.key'\n"
            if role == "gateway":
                text += f'[gateway]\nport = 0\nport_file = "{self.home}/port"\n'
            (self.home / f"{role}.toml").write_text(text, encoding="utf-8")

    def start_gateway(self):
        port = self.home / "port"
        port.unlink(missing_ok=True)
        self.gateway = self.spawn("gateway.log", BUILD / "client/gateway/understudy-gateway", "--config", self.home / "gateway.toml")
        listens = int(until(lambda: port.exists() and port.read_text(encoding="utf-8").strip(), "the gateway listens"))
        # As a person does who was given the authority's certificate, and trusts nobody else.
        self.trust = ssl.create_default_context(cafile=self.home / "gateway-state/authority.crt")
        return listens

    def gateway_command(self, *words, said=""):
        return subprocess.run([BUILD / "client/gateway/understudy-gateway", "--config", self.home / "gateway.toml", *words], input=said,
                              capture_output=True, text=True, timeout=60, check=True)

    def get(self, target, key="administrator", method="GET", body=None, headers=None):
        """(status, body, headers); `key`: of whom, by role"""
        key = self.keys.get(key, key)
        request = urllib.request.Request(f"https://127.0.0.1:{self.port}{target}", method=method, data=body)
        for name, value in ({"Authorization": f"Bearer {key}"} if key else {}).items():
            request.add_header(name, value)
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        try:
            with urllib.request.urlopen(request, timeout=30, context=self.trust) as answer:
                return answer.status, answer.read().decode(), answer.headers
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode(), error.headers

    def act(self, verb, arguments, key="administrator"):
        return self.get("/api/v1/act", key, "POST", json.dumps({"verb": verb, "arguments": arguments}).encode(),
                        {"X-Understudy-Request": "test", "Content-Type": "application/json"})

    def run(self, *words, role="operator"):
        return subprocess.run([self.command, "--config", self.home / f"{role}.toml", *map(str, words)], capture_output=True, text=True, timeout=60, check=False)

    def close(self):
        for process in (self.gateway, self.manager):
            if process is not None and process.poll() is None:
                process.terminate()
                process.wait(20)
        self.stack.close()


site = None


def setUpModule():
    global site
    site = Site()


def tearDownModule():
    site.close()


PATH_VALUES = {"{terminal}": "desk", "{id}": "1"}


def routes():
    for path, methods in DESCRIPTION["paths"].items():
        for method, operation in methods.items():
            target = path
            for name, value in PATH_VALUES.items():
                target = target.replace(name, value)
            if path == "/api/v1/what-if":
                target += "?host=alpha"
            yield path, target, method.upper(), operation


class Documented(unittest.TestCase):
    def test_every_route_of_the_source_is_in_the_document(self):
        text = (SOURCE / "client/gateway/target.cpp").read_text(encoding="utf-8")
        written = set(re.findall(r'path == "(/(?:api|health|metrics)[^"]*)"', text))
        sections = re.search(r"for \(const char\* name : \{([^}]*)\}", text).group(1)
        written |= {f"/api/v1/{name}" for name in re.findall(r'"([^"]+)"', sections)}
        written |= {"/api/v1/incidents/{id}", "/api/v1/terminals/{terminal}/events", "/api/v1/terminals/{terminal}/stream"}
        self.assertEqual(written, set(DESCRIPTION["paths"]))

    def test_every_route_answers_as_documented(self):
        for path, target, method, operation in routes():
            if operation.get("x-websocket") or method == "POST":
                continue
            with self.subTest(path):
                status, body, headers = site.get(target)
                self.assertIn(str(status), operation["responses"], body)
                content = operation["responses"][str(status)]["content"]
                kind = headers["Content-Type"].split(";")[0]
                self.assertIn(kind, content)
                if kind == "application/json":
                    check(json.loads(body), content[kind]["schema"])

    def test_a_websocket_route_asked_without_an_upgrade_is_refused(self):
        for path, target, _, operation in routes():
            if operation.get("x-websocket"):
                with self.subTest(path):
                    self.assertEqual(site.get(target)[0], 404)

    def test_without_a_key_there_is_nothing_but_health(self):
        for path, target, method, operation in routes():
            if operation.get("x-websocket"):
                continue
            with self.subTest(path):
                status, body, _ = site.get(target, key=None, method=method, body=b"{}" if method == "POST" else None)
                if operation["security"]:
                    self.assertEqual(status, 401)
                    check(json.loads(body), SCHEMAS["result.schema.json"])
                    self.assertIn("log in at /login", body)
                else:
                    self.assertIn(status, (200, 503))

    def test_the_document_is_served_as_it_is_in_the_tree(self):
        self.assertEqual(json.loads(site.get("/api/v1/openapi.json")[1]), DESCRIPTION)

    def test_schemas_are_schemas(self):
        for name, schema in SCHEMAS.items():
            with self.subTest(name):
                jsonschema.Draft202012Validator.check_schema(schema)


class Rights(unittest.TestCase):
    def test_an_observer_looks_and_rehearses_and_does_not_act(self):
        self.assertEqual(json.loads(site.get("/api/v1/me", "observer")[1])["right"], "observe")
        self.assertEqual(json.loads(site.get("/api/v1/me")[1])["right"], "operate")
        self.assertEqual(site.get("/api/v1/view", "observer")[0], 200)
        status, body, _ = site.act("maintenance", {"host": "alpha", "value": "on", "reason": "x"}, "observer")
        self.assertEqual(status, 403)
        self.assertIn("you may look and not act", body)
        status, body, _ = site.act("maintenance", {"host": "alpha", "value": "on", "dry-run": "yes"}, "observer")
        self.assertEqual(status, 200, body)
        check(json.loads(body)["json"], SCHEMAS["rehearsal.schema.json"])
        self.assertEqual(json.loads(site.get("/api/v1/hosts")[1])[0]["state"] == "maintenance", False, "a rehearsal changes nothing")
        self.assertEqual(site.get("/terminal/desk", "observer")[0], 403)

    def test_the_manager_itself_refuses_an_observers_act(self):
        ran = site.run("maintenance", "alpha", "on", "--reason", "x", role="observer")
        self.assertEqual(ran.returncode, 6, ran.stderr)
        self.assertIn("may look and not act", ran.stderr)
        self.assertEqual(site.run("maintenance", "alpha", "on", "--dry-run", role="observer").returncode, 0)
        self.assertEqual(site.run("hosts", role="observer").returncode, 0)

    def test_an_act_is_answered_and_seen(self):
        for value, state in (("on", "maintenance"), ("off", None)):
            status, body, _ = site.act("maintenance", {"host": "alpha", "value": value, "reason": "a test"})
            self.assertEqual(status, 200, body)
            check(json.loads(body), SCHEMAS["result.schema.json"])
            seen = json.loads(site.get("/api/v1/hosts")[1])[0]["state"]
            self.assertEqual(seen == "maintenance", state == "maintenance")


class Fencing(unittest.TestCase):
    """In this order: once a host is off it stays so."""
    def setUp(self):
        self.power = site.home / "power"
        self.power.write_text("ON", encoding="utf-8")

    def test_an_observer_rehearses_it_and_switches_nothing_off(self):
        status, body, _ = site.act("fence", {"host": "cellar", "reason": "x"}, "observer")
        self.assertEqual(status, 403, body)
        ran = site.run("fence", "cellar", "--reason", "x", role="observer")
        self.assertEqual(ran.returncode, 6, ran.stderr)
        status, body, _ = site.act("fence", {"host": "cellar", "dry-run": "yes"}, "observer")
        self.assertEqual(status, 200, body)
        check(json.loads(body)["json"], SCHEMAS["rehearsal.schema.json"])
        self.assertEqual(site.run("fence", "cellar", "--dry-run").returncode, 0)
        self.assertEqual(site.run("fence", "cellar").returncode, 2, "without a reason")
        self.assertEqual(self.power.read_text(encoding="utf-8"), "ON")
        self.assertEqual(site.host("cellar")["fence"], {"state": "ready", "error": ""})

    def test_what_cannot_be_switched_off_is_refused_with_the_reason(self):
        for host, status, code, words in (("alpha", 409, 6, "host alpha has no fence agent"), ("nowhere", 404, 5, "there is no host named 'nowhere'")):
            with self.subTest(host):
                got, body, _ = site.act("fence", {"host": host, "reason": "x"})
                self.assertEqual(got, status, body)
                self.assertIn(words, json.loads(body)["text"])
                ran = site.run("fence", host, "--reason", "x")
                self.assertEqual(ran.returncode, code, ran.stderr)
                self.assertIn(words, ran.stderr)
                self.assertNotEqual(site.run("fence", host, "--dry-run").returncode, 0, "the rehearsal says so, too")

    def test_switching_off_happens_once_and_a_failure_is_shown_with_its_cause(self):
        self.power.write_text("stuck", encoding="utf-8")
        self.assertEqual(site.act("fence", {"host": "cellar", "reason": "smoke"})[0], 200)
        failing = until(lambda: (fence := site.host("cellar")["fence"])["state"] == "failing" and fence, "the failure is shown")
        self.assertIn("the plug is stuck", failing["error"])
        self.power.write_text("ON", encoding="utf-8")
        ran = site.run("fence", "cellar", "--reason", "smoke")
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertIn("host cellar is being switched off", ran.stdout)
        until(lambda: site.host("cellar")["fence"]["state"] == "off", "it is off")
        self.assertEqual(self.power.read_text(encoding="utf-8").strip(), "OFF")
        self.assertEqual(site.host("cellar")["state"], "maintenance", "nothing is placed there")
        again = site.run("fence", "cellar", "--reason", "smoke")
        self.assertEqual(again.returncode, 6, again.stderr)
        self.assertIn("host cellar is off already", again.stderr)
        self.assertRegex(site.run("hosts").stdout, r"cellar +maintenance .* off +qemu")
        self.assertEqual(site.run("maintenance", "cellar", "off", "--reason", "it is back").returncode, 0)


class Definitions(unittest.TestCase):
    """Hosts and pools from the command line."""

    def setUp(self):
        node = site.home / "attic.xml"  # a hypervisor of its own, by libvirt's test driver
        node.write_text("<node/>", encoding="utf-8")
        self.host = ("define-host", "attic", "--uri", f"test://{node}", "--vcpus", 2, "--memory-mib", 2048)

    def refused(self, code, words, *command):
        ran = site.run(*command)
        self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
        self.assertIn(words, " ".join((ran.stdout + ran.stderr).split()))

    def test_a_host_is_defined_used_for_pools_and_removed(self):
        self.assertEqual(site.run(*self.host, "--dry-run").returncode, 0)
        self.assertNotIn("attic", site.run("names", "hosts").stdout, "a rehearsal changes nothing")
        self.refused(2, "--reason", *self.host)
        made = site.run(*self.host, "--domain", "roof", "--labels", "fast,quiet", "--disk-mib", 9000, "--reason", "more room")
        self.assertEqual((made.returncode, made.stdout), (0, "host attic is defined\n"), made.stderr)
        host = site.host("attic")
        self.assertEqual((host["domain"], host["capacity"]["vcpus"], host["capacity"]["memory_mib"]), ("roof", 2, 2048))
        self.refused(6, "there is a host attic already", *self.host, "--reason", "again")
        self.refused(7, "nobody answers at", "define-host", "shed", "--uri", "qemu+tcp://127.0.0.1:1/system", "--vcpus", 1, "--memory-mib", 512, "--reason", "x")
        self.refused(4, "is not a URI", "define-host", "shed", "--uri", "nonsense", "--vcpus", 1, "--memory-mib", 512, "--reason", "x")
        pool = ("define-pool", "swift", "--labels", "fast", "--min-idle", 0, "--max-idle", 1, "--max-total", 2, "--reason", "x")
        self.assertEqual(site.run(*pool).returncode, 0)
        self.assertEqual(site.run("remove-pool", "swift", "--reason", "x").returncode, 0)
        self.assertEqual(site.run("remove-host", "attic", "--reason", "not needed").stdout, "host attic is removed\n")
        self.refused(5, "there is no host named 'attic'", "remove-host", "attic", "--reason", "x")

    def test_a_pool_is_defined_changed_and_removed(self):
        define = ("define-pool", "wide", "--vcpus", 2, "--memory-mib", 1024, "--slots", 2, "--min-idle", 0, "--policy", "pack")
        self.assertEqual(site.run(*define, "--dry-run").returncode, 0)
        self.assertNotIn("wide", site.run("names", "pools").stdout)
        self.assertEqual(site.run(*define, "--reason", "wide work").stdout, "pool wide is defined\n")
        self.refused(4, "there is a pool of flavour \"wide\" already", *define, "--reason", "again")
        changed = site.run("pool", "wide", "--max-idle", 3, "--max-paused", 1, "--follow-demand", "on", "--reason", "more of them")
        self.assertEqual(changed.returncode, 0, changed.stderr)
        pool = next(one for one in json.loads(site.run("pools", "--json").stdout) if one["flavour"] == "wide")
        self.assertEqual([pool[key] for key in ("vcpus", "memory_mib", "slots", "policy", "max_idle", "max_paused", "follow_demand")], [2, 1024, 2, "pack", 3, 1, True])
        self.refused(4, "min_idle is above max_idle", "pool", "wide", "--min-idle", 9, "--reason", "x")
        self.refused(4, "no host is large enough", "define-pool", "huge", "--vcpus", 200, "--reason", "x")
        self.refused(5, "there is no image 'nowhere'", "define-pool", "odd", "--image", "nowhere", "--reason", "x")
        self.refused(2, "spread", "define-pool", "odd", "--policy", "scatter", "--reason", "x")
        self.refused(6, "is used by profile office", "remove-pool", "small", "--reason", "x")
        self.assertEqual(site.run("remove-pool", "wide", "--reason", "done").stdout, "pool wide is removed\n")


class BadInput(unittest.TestCase):
    def test_every_verb_of_the_document_is_one_of_the_manager(self):
        for verb in DESCRIPTION["paths"]["/api/v1/act"]["post"]["requestBody"]["content"]["application/json"]["schema"]["properties"]["verb"]["enum"]:
            with self.subTest(verb):
                self.assertNotRegex(json.loads(site.act(verb, {"colour": "red"})[1])["text"], "there is no (act|verb)")

    def test_each_wrong_request_says_what_is_wrong(self):
        for arguments, status, words in (
                ({"host": "nowhere", "value": "on", "reason": "x"}, 404, "there is no host named 'nowhere'"),
                ({"host": "alpha", "value": "on"}, 400, "reason=... is missing"),
                ({"host": "alpha", "value": "maybe", "reason": "x"}, 400, "value must be on or off"),
                ({"host": "alpha", "value": "on", "reason": "x", "colour": "red"}, 400, "argument colour means nothing here"),
                ({"host": "alpha", "value": "on", "dry-run": "perhaps"}, 400, "dry-run must be yes or no")):
            with self.subTest(words):
                got, body, _ = site.act("maintenance", arguments)
                self.assertEqual(got, status, body)
                check(json.loads(body), SCHEMAS["result.schema.json"])
                self.assertIn(words, json.loads(body)["text"])
        for target, status, words in (("/api/v1/what-if?host=nowhere", 404, "there is no host"), ("/api/v1/what-if", 400, "host"),
                                      ("/api/v1/incidents/7", 404, "there is no incident 7"), ("/api/v1/incidents/x", 400, "id must be a whole number")):
            with self.subTest(target):
                got, body, _ = site.get(target)
                self.assertEqual(got, status, body)
                self.assertIn(words, body)
        self.assertEqual(site.act("explode", {})[0], 400)
        self.assertEqual(site.get("/api/v1/act", method="POST", body=b"{}")[0], 403, "without the header")
        self.assertEqual(site.act("message", {"terminal": "desk", "text": "hello", "reason": "x"})[0], 503, "nobody sits there")


class Health(unittest.TestCase):
    def test_health_is_honest_about_the_manager(self):
        self.assertEqual(site.get("/health/ready", key=None)[0], 200)
        site.manager.terminate()
        site.manager.wait(20)
        try:
            until(lambda: site.get("/health/ready", key=None)[0] == 503, "not ready without a manager")
            answer = json.loads(site.get("/health", key=None)[1])
            self.assertEqual((answer["live"], answer["ready"]), (True, False))
            self.assertTrue(answer["reason"])
            self.assertEqual(site.get("/health/live", key=None)[0], 200)
            self.assertEqual(site.act("maintenance", {"host": "alpha", "value": "on", "reason": "x"})[0], 503)
            self.assertIn("understudy_gateway_manager_connected 0", site.get("/metrics")[1])
            self.assertEqual(site.run("--timeout", "1", "status").returncode, 3)
        finally:
            site.start_manager()
        until(lambda: site.get("/health/ready", key=None)[0] == 200, "ready again")


class Metrics(unittest.TestCase):
    def test_every_line_is_of_the_text_format_and_every_family_is_described(self):
        text = site.get("/metrics")[1]
        described = set(re.findall(r"^# HELP (\S+) .+$", text, re.M)) & set(re.findall(r"^# TYPE (\S+) (?:gauge|counter|histogram)$", text, re.M))
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            match = re.fullmatch(r'([a-z_]+)(?:\{[a-z_]+="[^"]*"(?:,[a-z_]+="[^"]*")*\})? [-+0-9.einfNa]+', line)
            self.assertTrue(match, line)
            family = re.sub(r"_(bucket|sum|count)$", "", match.group(1)) if match.group(1) not in described else match.group(1)
            self.assertIn(family, described)

    def test_what_the_dashboard_shows_exists(self):
        dashboard = json.loads((SOURCE / "config/grafana-dashboard.json").read_text(encoding="utf-8"))
        source = (SOURCE / "client/gateway/metrics.cpp").read_text(encoding="utf-8")
        names = set(re.findall(r"understudy_[a-z_]+", " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])))
        for name in names:
            self.assertIn('"' + re.sub(r"_(bucket|sum|count)$", "", name) + '"', source)


class CommandLine(unittest.TestCase):
    def test_json_of_every_section_is_of_its_schema(self):
        view = SCHEMAS["view.schema.json"]
        check(json.loads(site.run("status", "--json").stdout), view)
        for name in ("hosts", "nodes", "terminals", "sessions", "pools", "incidents"):
            with self.subTest(name):
                ran = site.run(name, "--json")
                self.assertEqual(ran.returncode, 0, ran.stderr)
                check(json.loads(ran.stdout), {"$ref": f"view.schema.json#/properties/{name}"})
        check(json.loads(site.run("what-if", "alpha", "--json").stdout), SCHEMAS["rehearsal.schema.json"])
        check(json.loads(site.run("maintenance", "alpha", "on", "--dry-run", "--json").stdout)["result"], SCHEMAS["rehearsal.schema.json"])

    def test_exit_codes_are_those_of_the_manual(self):
        for words, code in ((("status",), 0), (("nonsense",), 2), (("kill",), 2), (("kill", 5), 2), (("kill", 5, "--reason", "x"), 5),
                            (("override-gate", "--reason", "x"), 6), (("failover", "--session", 1, "--terminal", "desk", "--reason", "x"), 2),
                            (("what-if", "nowhere"), 5), (("message", "desk", "hello", "--reason", "x"), 7),
                            (("act", "maintenance", "host=alpha", "value=no", "--reason", "x"), 4), (("incident", 99), 5)):
            with self.subTest(words):
                ran = site.run(*words)
                self.assertEqual(ran.returncode, code, ran.stdout + ran.stderr)
                if code:
                    self.assertTrue(ran.stderr.strip() or ran.stdout.strip())

    def test_names_are_what_commands_take(self):
        self.assertEqual(site.run("names", "hosts").stdout, "alpha\ncellar\n")
        self.assertEqual(site.run("names", "terminals").stdout, "desk\n")

    def test_bash_completes_verbs_options_and_names(self):
        script = f"""
understudy() {{ {site.command} --config {site.home}/operator.toml "$@"; }}
source <({site.command} completion bash)
try() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); _understudy; echo "${{COMPREPLY[*]}}"; }}
try understudy maint
try understudy what-if ''
try understudy fence cel
try understudy drain --host al
try understudy failover --dr
try understudy maintenance alpha o
try understudy completion z"""
        done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.stderr, "")
        said = [sorted(set(line.split()) - {"--help"}) for line in done.stdout.splitlines()]
        self.assertEqual(said, [["maintenance"], ["alpha", "cellar"], ["cellar"], ["alpha"], ["--dry-run"], ["off", "on"], ["zsh"]])

    def test_zsh_and_fish_accept_their_completions(self):
        for shell in ("zsh", "fish"):
            with self.subTest(shell):
                path = site.home / f"completion.{shell}"
                path.write_text(site.run("completion", shell).stdout, encoding="utf-8")
                done = subprocess.run([shell, "-n", path], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_the_manual_is_a_manual_and_names_every_verb(self):
        page = site.run("manual").stdout
        done = subprocess.run(["groff", "-man", "-Tutf8", "-ww"], input=page, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        plain = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
        for verb in ("status", "what-if", "failover", "drain", "fence", "define-host", "remove-pool", "message", "notify", "completion", "watch"):
            self.assertIn(verb, plain)
        self.assertIn("outcome unknown", " ".join(plain.split()))


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes notices; refuses the first `refusals`."""
    refusals = 0
    got = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if Receiver.refusals > 0:
            Receiver.refusals -= 1
            self.send_response(503)
        else:
            Receiver.got.append((self.headers, body))
            self.send_response(204)
        self.end_headers()

    def log_message(self, *_):
        pass


class Notifications(unittest.TestCase):
    def setUp(self):
        Receiver.got, Receiver.refusals = [], 0
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://user:hidden-password@127.0.0.1:{self.server.server_port}/hook?token=hidden-token"
        self.secret = site.home / "secret"
        self.secret.write_text("a secret for signing\n", encoding="utf-8")
        self.record = site.home / "record"
        self.record.unlink(missing_ok=True)
        self.hook = site.home / "hook"
        self.hook.write_text(f'#!/bin/sh\n{{ printf "%s %s " "$1" "$2"; cat; }} >>{self.record}\n', encoding="utf-8")
        self.hook.chmod(0o755)

    def tearDown(self):
        self.server.shutdown()
        self.server.server_close()

    def test_a_program_and_an_address_are_told_signed_and_again_after_a_refusal(self):
        Receiver.refusals = 2
        ran = site.run("notify", "--test", "--site", "north", "--hook", self.hook, "--webhook", self.url, "--secret-file", self.secret, "--retry-ms", 20, 20, 20)
        self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertEqual(len(Receiver.got), 1)
        headers, body = Receiver.got[0]
        check(json.loads(body), SCHEMAS["notification.schema.json"])
        self.assertEqual(json.loads(body)["site"], "north")
        self.assertEqual(headers["X-Understudy-Signature"], "sha256=" + hmac.new(b"a secret for signing", body, hashlib.sha256).hexdigest())
        self.assertEqual(ran.stderr.count("answered 503; tried again"), 2)
        self.assertNotIn("hidden", ran.stderr)
        self.assertNotIn("a secret", ran.stderr)
        event, said = self.record.read_text(encoding="utf-8").split(" ", 1)
        self.assertEqual((event, json.loads(said)["event"]), ("test", "test"))

    def test_a_receiver_that_is_not_there_is_given_up_and_named_without_secrets(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            port = unused.getsockname()[1]
        ran = site.run("notify", "--test", "--webhook", f"http://127.0.0.1:{port}/hidden", "--hook", "/nowhere/hook", "--retry-ms", 10)
        self.assertEqual(ran.returncode, 0)
        self.assertIn(f"webhook http://127.0.0.1:{port}: ", ran.stderr)
        self.assertIn("hook /nowhere/hook cannot be started: No such file or directory; given up after 2 attempts", ran.stderr)
        self.assertNotIn("hidden", ran.stderr)

    def test_a_hook_that_hangs_is_ended(self):
        self.hook.write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
        ran = site.run("notify", "--test", "--hook", self.hook, "--limit", 1, "--retry-ms", 1)
        self.assertIn("did not end in time and was killed", ran.stderr)

    def test_an_address_of_another_kind_is_refused(self):
        ran = site.run("notify", "--webhook", "file:///etc/passwd")
        self.assertEqual(ran.returncode, 2)
        self.assertIn("must begin with http:// or https://", ran.stderr)


class Signals(unittest.TestCase):
    def test_watch_ends_when_it_is_interrupted(self):
        watch = subprocess.Popen([site.command, "--config", site.home / "operator.toml", "watch", "--json"], stdout=subprocess.PIPE, text=True)
        check(json.loads(watch.stdout.readline()), SCHEMAS["view.schema.json"])
        watch.send_signal(signal.SIGINT)
        watch.stdout.close()
        self.assertEqual(watch.wait(20), 0)


if __name__ == "__main__":
    os.environ.pop("UNDERSTUDY_CONFIG", None)
    unittest.main(verbosity=2)
