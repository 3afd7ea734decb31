"""`make plan`, `deploy` and `destroy` by a real AWS provider, against the emulator.

    make infra-apply           in a scratch copy: nothing of the clone's own is touched
        │
        ├─ the emulator, IAM on, taken for AWS by the environment alone
        ├─ make plan, make deploy, what its last words say, as an operator's user
        ├─ events of every source to every handler end `done`
        ├─ make plan again: nothing to change
        └─ a source fewer, make destroy

The provider comes from where `terraform init` finds it: a registry, or a mirror that
`TF_CLI_CONFIG_FILE` names. Without one this prints SKIPPED and claims nothing, unless
REQUIRED=1. INFRA= names another folder than infra/, such as a copy rewritten for an
older provider.
"""

import http.server
import json
import os
import pathlib
import re
import secrets
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import boto3

ROOT = pathlib.Path(__file__).resolve().parents[2]
INFRA = pathlib.Path(os.environ.get("INFRA") or ROOT / "infra").resolve()
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").resolve() / "debug"
REGION = "eu-central-1"
ACCOUNT = "123456789012"
ENVIRONMENT = "try"
ARCHITECTURE = "arm64" if os.uname().machine in ("aarch64", "arm64") else "x86_64"
# The emulator's own door takes an API's requests with this header alone.
HEADER_FRONT_DOOR = "x-inbox-front-door"
# How long an event may take to be handled.
HANDLED_WITHIN_SECONDS = 60
SOURCES = {
    "stripe": "stripe",
    "github": "github",
    "twilio": "twilio",
    "standard_webhooks": "standard_webhooks",
}


# Ids of the routes, one to each kind of target.
HANDLERS = ["bus", "endpoint", "keep", "queue", "topic"]


class Failed(Exception):
    """Something was not as it must be; its words say what."""


def say(text):
    print(f"… {text}", flush=True)


def run(command, environment, *, given=None, may_fail=False, folder=None):
    """What a command printed, or its words as a failure."""
    done = subprocess.run(
        list(map(str, command)), cwd=folder, env=environment, input=given, capture_output=True, text=True, timeout=900, check=False
    )
    done.stdout, done.stderr = (re.sub(r"\x1b\[[0-9;]*m", "", it) for it in (done.stdout, done.stderr))
    if done.returncode != 0 and not may_fail:
        raise Failed(f"{' '.join(map(str, command))} ended with {done.returncode}:\n{done.stdout[-6000:]}{done.stderr[-6000:]}")
    return done


class Emulator:
    """MiniStack by tests/local/emulator.py, with signatures verified and IAM enforced."""

    def __init__(self, scratch):
        self.root_key = "AKIA" + secrets.token_hex(20).upper()
        self.root_secret = secrets.token_hex(20)
        temporary = scratch / "emulator"
        temporary.mkdir()
        port_file = scratch / "port"
        environment = {
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": self.root_key,
            "AWS_SECRET_ACCESS_KEY": self.root_secret,
            "AUTH": "true",
            "DECISIONS_FILE": str(scratch / "decisions"),
            "HOME": str(temporary),
            "LANG": "C.UTF-8",
            "TMPDIR": str(temporary),
            "STATE_DIR": str(temporary / "state"),
            "S3_DATA_DIR": str(temporary / "s3"),
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_REGION": REGION,
            "MINISTACK_ACCOUNT_ID": ACCOUNT,
            "IOT_MTLS_ENABLED": "0",
            "SFTP_ENABLED": "0",
            "LAMBDA_EXECUTOR": "local",
            "DOCKER_HOST": f"unix://{temporary}/no-docker",
            "LOG_LEVEL": "INFO",
        }
        self.log = open(scratch / "emulator.log", "wb")
        self.process = subprocess.Popen(
            [sys.executable, "-u", str(ROOT / "tests/local/emulator.py"), str(port_file)],
            env=environment, stdin=subprocess.PIPE, stdout=self.log, stderr=self.log, start_new_session=True,
        )
        deadline = time.monotonic() + 60
        while not port_file.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise Failed("the emulator does not start:\n" + (scratch / "emulator.log").read_text()[-4000:])
            time.sleep(0.05)
        self.url = f"http://127.0.0.1:{port_file.read_text()}"
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/_ministack/health", timeout=5).close()
                return
            except (urllib.error.URLError, OSError):
                if time.monotonic() > deadline:
                    raise Failed("the emulator does not answer") from None
                time.sleep(0.05)

    def environment(self, key=None, secret=None):
        """Everything that takes it for AWS."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "AWS_ENDPOINT_URL": self.url,
            "AWS_REGION": REGION,
            "AWS_ACCESS_KEY_ID": key or self.root_key,
            "AWS_SECRET_ACCESS_KEY": secret or self.root_secret,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }

    def client(self, service):
        return boto3.client(
            service, endpoint_url=self.url, region_name=REGION,
            aws_access_key_id=self.root_key, aws_secret_access_key=self.root_secret,
        )

    def stop(self):
        self.process.stdin.close()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def front_door(emulator, api):
    """A port of loopback that stands for the API's address."""

    class Relay(http.server.BaseHTTPRequestHandler):
        def relayed(self):
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            request = urllib.request.Request(
                f"{emulator.url}/_aws/execute-api/{api}/$default{self.path}", data=body or None, method=self.command,
            )
            for name, value in self.headers.items():
                if name.lower() not in ("host", "content-length", "connection"):
                    request.add_header(name, value)
            request.add_header(HEADER_FRONT_DOOR, emulator.root_key)
            try:
                answer = urllib.request.urlopen(request, timeout=30)
            except urllib.error.HTTPError as fault:
                answer = fault
            with answer:
                text = answer.read()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                        self.send_header(name, value)
                self.send_header("content-length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

        do_GET = do_POST = do_HEAD = relayed

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Relay)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


def endpoint():
    """An address on loopback that takes what routes forward, and the ids that came."""
    posted = []

    class Endpoint(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers.get("content-length") or 0))
            posted.append(self.headers.get("webhook-id"))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}/hooks", posted


class Deployment:
    """A scratch copy of what `make` needs, deployed into the emulator."""

    def __init__(self, scratch, emulator):
        self.folder = scratch / "clone"
        self.emulator = emulator
        left = shutil.ignore_patterns(".terraform", "node_modules", "env", "backend.hcl", "*.tfstate*")
        shutil.copytree(INFRA, self.folder / "infra", ignore=left)
        shutil.copy(ROOT / "Makefile", self.folder)
        self.packages = scratch / "packages"
        self.packages.mkdir()
        for function in ("receiver", "processor", "sweeper"):
            run([sys.executable, str(ROOT / "infra/package/zip.py"), str(TARGET / function), str(self.packages / f"{function}.zip")], os.environ)
        emulator.client("s3").create_bucket(
            Bucket="state", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        (self.folder / "infra/backend.hcl").write_text(
            f'bucket = "state"\nregion = "{REGION}"\nuse_path_style = true\n'
            "skip_requesting_account_id = true\nskip_credentials_validation = true\n"
        )
        self.targets(scratch)
        self.settings(SOURCES)

    def targets(self, _):
        """What routes reach, made as another team would."""
        self.queue = self.emulator.client("sqs").create_queue(QueueName="target")["QueueUrl"]
        self.topic = self.emulator.client("sns").create_topic(Name="target")["TopicArn"]
        self.endpoint, self.posted = endpoint()

    def settings(self, sources):
        queue = f"https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/target"
        routes = [
            '{ id = "keep", match = "*:*", handler = "mirror" }',
            '{ id = "bus", match = "*:*", handler = "publish" }',
            '{ id = "queue", match = "*:*", handler = "enqueue", with = { queue_url = "%s" } }' % queue,
            '{ id = "topic", match = "*:*", handler = "enqueue", with = { topic_arn = "%s" } }' % self.topic,
            '{ id = "endpoint", match = "*:*", handler = "forward", with = { url = "%s", allow_private_addresses = true } }' % self.endpoint,
        ]
        names = ", ".join(f'{name} = {{ provider = "{provider}" }}' for name, provider in sources.items())
        folder = self.folder / "infra/env"
        folder.mkdir(exist_ok=True)
        (folder / f"{ENVIRONMENT}.tfvars").write_text(
            f'region = "{REGION}"\nsources = {{ {names} }}\n'
            f"processor = {{ routes = [{', '.join(routes)}] }}\n"
            "deletion_protection = false\nsecret_recovery_days = 0\n"
        )

    def make(self, target, *arguments, may_fail=False):
        # Packages and the command are those of `make build`: `make package` has tests of its own.
        command = ["make", "--no-print-directory", "-o", "package", "-o", "inbox", target, f"ENV={ENVIRONMENT}",
                   f"ARCH={ARCHITECTURE}", f"PACKAGES={self.packages}", f"INBOX={TARGET / 'inbox'}",
                   f"PYTHON={sys.executable}", *arguments]
        return run(command, self.emulator.environment() | {"TF_IN_AUTOMATION": "1"}, folder=self.folder, may_fail=may_fail)

    def outputs(self):
        text = (self.folder / ".local/deployed.json").read_text()
        return {name: it["value"] for name, it in json.loads(text).items()}


def provider_or_skip(deployment):
    """Whether `terraform init` finds a provider."""
    done = deployment.make("initialised", may_fail=True)
    words = done.stdout + done.stderr
    if done.returncode == 0:
        return True
    if "Failed to query available provider packages" not in words and "Failed to install provider" not in words:
        raise Failed(f"terraform init fails:\n{words[-4000:]}")
    plain = re.sub("[│╷╵]", "", words)
    reason = " ".join(plain[plain.find("Error:"):].split())[:300]
    if os.environ.get("REQUIRED", "0") not in ("", "0"):
        raise Failed(f"REQUIRED is set, and there is no provider: {reason}")
    print(f"SKIPPED: no AWS provider is to be had, so nothing was deployed: {reason}", file=sys.stderr)
    return False


def operator(deployment, outputs):
    """A user with the operator's policies and nothing else."""
    iam = deployment.emulator.client("iam")
    iam.create_user(UserName="operator")
    for arn in outputs["operator_policy_arns"].values():
        iam.attach_user_policy(UserName="operator", PolicyArn=arn)
    key = iam.create_access_key(UserName="operator")["AccessKey"]
    environment = deployment.emulator.environment(key["AccessKeyId"], key["SecretAccessKey"])
    environment["INBOX_STACK"] = str(deployment.folder / ".local/deployed.json")

    def inbox(*arguments, given=None, may_fail=False):
        return run([str(TARGET / "inbox"), *arguments], environment, given=given, may_fail=may_fail)

    return inbox


def follow_next_steps(inbox, words):
    """The commands that `make deploy` prints are run as they are printed."""
    # Terraform prints them among its outputs, and make once more.
    commands = list(dict.fromkeys(re.findall(r"^\s*inbox (secret add \S+(?: --generate)?)", words, re.MULTILINE)))
    if len(commands) < len(SOURCES):
        raise Failed(f"make deploy must print a command for each source's secret, not {commands}:\n{words}")
    for command in commands:
        source = command.split()[2]
        given = None if "--generate" in command else SECRETS[SOURCES[source]]
        inbox(*command.split(), given=given)


# Signing secrets in each provider's form.
SECRETS = {
    "stripe": "whsec_" + secrets.token_hex(24),
    "github": secrets.token_hex(24),
    "twilio": secrets.token_hex(16),
    "standard_webhooks": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
}


def send(inbox, source, url, signed_url):
    """Posts an event, again where the answer is 503, as the provider would."""
    deadline = time.monotonic() + HANDLED_WITHIN_SECONDS
    while True:
        done = inbox("send", source, "--url", url, "--signed-url", signed_url, may_fail=True)
        if done.returncode == 0:
            return
        if "503" not in done.stdout + done.stderr or time.monotonic() > deadline:
            raise Failed(f"an event of {source} must be accepted:\n{done.stdout}{done.stderr}")
        time.sleep(0.5)


def handled(inbox):
    """Waits until every event is done, by every handler."""
    deadline = time.monotonic() + HANDLED_WITHIN_SECONDS
    while True:
        listed = json.loads(inbox("events", "--json").stdout)["events"]
        ended = sorted((it["source"], it["state"], sorted(it["handlers"])) for it in listed)
        if ended == sorted((source, "done", HANDLERS) for source in SOURCES):
            return
        if time.monotonic() > deadline:
            raise Failed(f"an event of each source must end done by {HANDLERS}, but there are {ended}")
        time.sleep(0.2)


def check(deployment):
    emulator = deployment.emulator
    say("make plan")
    planned = deployment.make("plan").stdout
    count = re.search(r"Plan: (\d+) to add, 0 to change, 0 to destroy", planned)
    if count is None:
        raise Failed(f"the first plan must only add:\n{planned[-3000:]}")
    say(f"make deploy: {count[1]} resources")
    words = deployment.make("deploy", "YES=1").stdout
    outputs = deployment.outputs()
    say("the printed next steps, as a user who has the operator's policies alone")
    inbox = operator(deployment, outputs)
    follow_next_steps(inbox, words)
    door = front_door(emulator, emulator.client("apigatewayv2").get_apis()["Items"][0]["ApiId"])
    for source in SOURCES:
        say(f"an event of {source}")
        address = outputs["sources"][source].get("url") or f"{outputs['public_base_url']}/webhooks/{source}"
        send(inbox, source, f"{door}/webhooks/{source}", address)
    say("every event to every handler")
    handled(inbox)
    arrived = emulator.client("sqs").get_queue_attributes(QueueUrl=deployment.queue, AttributeNames=["ApproximateNumberOfMessages"])
    if arrived["Attributes"]["ApproximateNumberOfMessages"] != str(len(SOURCES)):
        raise Failed(f"the queue of a route must hold an event of each source: {arrived['Attributes']}")
    if len(set(deployment.posted)) != len(SOURCES) or None in deployment.posted:
        raise Failed(f"the endpoint of a route must get an event of each source: {deployment.posted}")
    say("make plan: nothing to change")
    again = deployment.make("plan").stdout
    if "No changes" not in again:
        raise Failed(f"a second plan must be empty:\n{again[-6000:]}")
    say("a source fewer")
    fewer = {name: provider for name, provider in SOURCES.items() if name != "twilio"}
    deployment.settings(fewer)
    deployment.make("deploy", "YES=1")
    if sorted(deployment.outputs()["sources"]) != sorted(fewer):
        raise Failed(f"one source must be gone: {sorted(deployment.outputs()['sources'])}")
    say("make destroy")
    # What make asks for before it destroys: users without the policies, an empty bucket.
    iam = emulator.client("iam")
    for arn in outputs["operator_policy_arns"].values():
        iam.detach_user_policy(UserName="operator", PolicyArn=arn)
    bucket = boto3.resource(
        "s3", endpoint_url=emulator.url, region_name=REGION,
        aws_access_key_id=emulator.root_key, aws_secret_access_key=emulator.root_secret,
    ).Bucket(outputs["payload_bucket"])
    bucket.objects.all().delete()
    deployment.make("destroy", "YES=1")
    left = emulator.client("lambda").list_functions()["Functions"]
    if left:
        raise Failed(f"functions are left: {[it['FunctionName'] for it in left]}")


def logged(emulator):
    """The last that each function wrote."""
    logs = emulator.client("logs")
    for group in logs.describe_log_groups()["logGroups"]:
        events = logs.filter_log_events(logGroupName=group["logGroupName"])["events"]
        for event in events[-10:]:
            yield f"{group['logGroupName']}: {event['message'].strip()}"


def main():
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="inbox-apply-"))
    emulator = None
    try:
        emulator = Emulator(scratch)
        deployment = Deployment(scratch, emulator)
        if provider_or_skip(deployment):
            check(deployment)
            print("infra/ was planned, deployed, used, changed and destroyed by a real provider")
        return 0
    except Failed as fault:
        print(f"infra-apply: {fault}", file=sys.stderr)
        if emulator is not None:
            print(*logged(emulator), sep="\n", file=sys.stderr)
        return 1
    finally:
        if emulator is not None:
            emulator.stop()
        if os.environ.get("KEEP") != "1":
            shutil.rmtree(scratch, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
