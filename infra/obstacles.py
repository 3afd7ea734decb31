"""Says what would stop `make destroy` half way, and the commands that clear it.

    terraform output -json | obstacles.py REGION

AWS deletes no policy while somebody has it, and no bucket that holds something;
Terraform would find that out after everything else is gone. Exit code 1 where there is
such a thing. It asks by the AWS CLI, and without it says what it did not look at; where
YES is set, and nobody reads that, this is exit code 1 too.
"""

import json
import os
import shutil
import subprocess
import sys


AWS = os.environ.get("AWS") or "aws"
# What could not be looked at.
REFUSED = []


def ask(*command):
    """What the AWS CLI answers, or None where it may not or cannot tell."""
    done = subprocess.run([AWS, *command, "--output", "json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        REFUSED.append(command)
        print(f"not looked at: aws {' '.join(command)}: {' '.join(done.stderr.split())}", file=sys.stderr)
        return None
    return json.loads(done.stdout or "{}")


def attached(arn):
    """A command for each role, user and group that has the policy."""
    found = ask("iam", "list-entities-for-policy", "--policy-arn", arn) or {}
    for kind in ("Role", "User", "Group"):
        for it in found.get(f"Policy{kind}s", []):
            name = it[f"{kind}Name"]
            yield f"aws iam detach-{kind.lower()}-policy --{kind.lower()}-name '{name}' --policy-arn {arn}"


def unseen():
    """Nobody is there to read it where nothing is asked."""
    return 1 if os.environ.get("YES") else 0


def main():
    region = sys.argv[1]
    outputs = {name: it["value"] for name, it in json.load(sys.stdin).items()}
    policies = list((outputs.get("operator_policy_arns") or {}).values())
    bucket = outputs.get("payload_bucket")
    if not shutil.which(AWS):
        print(
            "not looked at, as there is no AWS CLI: whether somebody has the policies "
            f"{', '.join(policies) or 'of operators'}, and whether the bucket {bucket or 'of payloads'} "
            "is empty. Either would stop the destruction half way",
            file=sys.stderr,
        )
        return unseen()
    commands = [command for arn in policies for command in attached(arn)]
    if commands:
        print("somebody has the policies for operators, which AWS then does not delete:", file=sys.stderr)
    for command in commands:
        print(f"  {command}", file=sys.stderr)
    held = ask("s3api", "list-objects-v2", "--bucket", bucket, "--max-keys", "1", "--region", region) if bucket else None
    if held and held.get("Contents"):
        commands.append(bucket)
        print(f"the bucket {bucket} holds payloads, and AWS deletes none that is not empty:", file=sys.stderr)
        print(f"  aws s3 rm s3://{bucket} --recursive --region {region}", file=sys.stderr)
    return 1 if commands else unseen() if REFUSED else 0


if __name__ == "__main__":
    sys.exit(main())
