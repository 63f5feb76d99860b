"""docs/proof.md: what is proven against what, and the one list of what is not.

python -m tests.conformance.proof      writes the tables into the page
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests import github_rules
from tests.conformance.github.questions import QUESTIONS as REQUESTS
from tests.conformance.script import Question
from tests.conformance.snowflake.questions import QUESTIONS as STATEMENTS
from tests.github_rules import Rule as GitHub
from tests.snowflake_standin import sources
from tests.snowflake_standin.sources import Rule
from tests.sources import Documented

PAGE = Path(__file__).parents[2] / "docs/proof.md"


@dataclass(frozen=True)
class Claim:
    """Something that the README says. executed: against what; leaves: what that cannot show; rules:
    of the stand-in that it rests on; pages: of other services that document it."""

    says: str
    executed: str
    leaves: str = "–"
    rules: tuple[Documented, ...] = ()
    pages: tuple[str, ...] = ()


_MODEL = (
    "the SQL, the real connector and dbt-snowflake, against a model of Snowflake's roles behind "
    "[fakesnow](https://github.com/tekumara/fakesnow)"
)
CLAIMS = (
    Claim(
        "a member renders, builds, updates with its edits kept",
        "real Copier, git, dbt Core 1.10, 1.11, 1.12 and dbt v2 on DuckDB",
    ),
    Claim(
        "publications are whole, none is lost, an older build never replaces a newer one",
        "folders, and a real S3 server (SeaweedFS) that checks signatures and conditions, with "
        "kills and lost answers",
        "S3's own timing",
        pages=("https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html",),
    ),
    Claim(
        "roles and grants equal the matrix of [snowflake.md](snowflake.md)",
        _MODEL,
        "that Snowflake's rules are as the model has them",
        rules=(
            *(Rule.USAGE_OPENS, Rule.PRIVILEGE_NEEDED, Rule.MANAGED_ACCESS, Rule.FUTURE_USAGE),
            *(Rule.FUTURE_SHADOWS, Rule.DATABASE_ROLE_USAGE, Rule.SECONDARY_ROLES),
        ),
    ),
    Claim(
        "`verify` finds drift, and nothing else",
        "the same, with grants of every kind added and taken away, before and after bcr-2371",
        "columns and kinds that an account shows otherwise",
        rules=(Rule.MANAGED_SHOWN, Rule.KINDS_SHOWN, Rule.GRANTOR, Rule.USER_GRANTS, Rule.COLUMNS),
    ),
    Claim(
        "no moment in which a model that is not public can be read",
        "the same, with CREATE OR REPLACE keeping and dropping grants, and with killed and empty "
        "runs",
        "the same",
        rules=(Rule.REPLACE_COPIES, Rule.DATABASE_ROLE_TOLD, Rule.KIND_LEFT_OUT),
    ),
    Claim(
        "key pairs: create, rotate, interrupted anywhere",
        "the same, with sign-in tokens checked against the registered key",
        "network and authentication policies, MFA",
        rules=(Rule.USER_KEYS, Rule.DESCRIBE_USER, Rule.KEY_PAIRS, Rule.KEY_PAIRS_SHOWN),
    ),
    Claim(
        "a demo costs little, and a teardown leaves nothing",
        "the same: the monitor's statements, and the order in which things are dropped",
        "that a monitor suspends",
        rules=(Rule.MONITORS, Rule.POLICIES, Rule.DROPPED_ROLE),
    ),
    Claim(
        "`apply --adopt` takes over what exists, others keep what they have, and `teardown` gives "
        "it back",
        "the same model, without a server: accounts with a team's own role, and with schemas that "
        "are managed and that are not",
        "kinds of objects that the model lacks, such as tasks and shares",
        rules=(
            *(Rule.OWNERSHIP, Rule.MANAGED_OWNER, Rule.MANAGED_OWNER_ITSELF, Rule.FUTURE_OWNER),
            Rule.MATERIALIZED_OWNER,
        ),
    ),
    Claim(
        "stores keep the protocol: 1,000 publications of eight processes with kills, lost answers, "
        "throttling",
        "folders, SeaweedFS, Azurite, a stand-in of Google's documented conditions, and the real "
        "connector against the model of Snowflake, whose INSERTs read before others write",
        "Google and Snowflake themselves; sign-in to Azure and Google; their role conditions",
        rules=(Rule.READ_COMMITTED,),
        pages=(
            "https://docs.cloud.google.com/storage/docs/request-preconditions",
            "https://learn.microsoft.com/en-us/rest/api/storageservices/"
            "specifying-conditional-headers-for-blob-service-operations",
        ),
    ),
    Claim(
        "in Snowflake, models for named consumers are in their publications alone",
        _MODEL,
        "that IS_DATABASE_ROLE_IN_SESSION sees a reader's roles in a secure view",
        rules=(Rule.ROLE_IN_SESSION, Rule.VIEW_OWNER),
    ),
    Claim(
        "least rights on AWS",
        "the policies of `aws/registry.yml`, enforced by the S3 server; AWS's own evaluation is "
        "modelled",
        "CloudFormation itself, roles with a path, other accounts",
        pages=(
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html",
        ),
    ),
    Claim(
        "workflows from pull request to reader",
        "[act](https://github.com/nektos/act), every `run` step as it is; actions from elsewhere "
        "are stubs",
        "event filters, concurrency, environments, `permissions:`, schedules, GitHub's OIDC tokens",
        rules=(
            *(GitHub.DISPATCH_UNHEARD, GitHub.WORKFLOW_DISPATCH, GitHub.DISABLED),
            *(GitHub.TOKEN_STARTS_NOTHING, GitHub.ATTEMPTS, GitHub.ARTIFACT_NAMES),
        ),
    ),
    Claim(
        "environments are closed before a key is in them",
        "the real `gh`, against a stand-in for GitHub's REST API with plans, policies and jobs "
        "that make environments",
        "approvals by a second person",
        rules=(
            *(GitHub.MADE_BY_JOB, GitHub.ENVIRONMENT_POLICY, GitHub.PATTERNS),
            *(GitHub.PATTERN_MATCHES, GitHub.PUT_REPLACES, GitHub.PLANS, GitHub.FREE_REFUSES),
        ),
    ),
    Claim(
        "a deploy does not begin where its environment is open",
        "`check-environment`, against the same stand-in with a job's token",
        "–",
        rules=(GitHub.TOKEN_READS, GitHub.BRANCH_REFUSED, GitHub.PROTECTED_BRANCHES),
    ),
    Claim(
        "without the App, an update of the template opens a pull request or says what to switch on",
        "act, with a stand-in for `gh` that refuses",
        "how GitHub refuses",
        rules=(GitHub.TOKEN_PULLS, GitHub.TOKEN_PULLS_WAIT, GitHub.TOKEN_WORKFLOWS),
    ),
    Claim(
        "dbt v2 on Snowflake",
        "the real ADBC driver against the model: see [engines.md](engines.md)",
        "Snowflake's own types and dialect",
        rules=(Rule.COLUMNS, Rule.INFORMATION_SCHEMA),
    ),
)


def questions(rule: Documented) -> list[str]:
    """Names of the questions that prove a rule on an account."""
    asked: tuple[Question, ...] = (*STATEMENTS, *REQUESTS)
    return [question.name for question in asked if question.rule is rule]


def _asked(rules: Iterable[Documented]) -> str:
    """The first question of each rule; the run's report has them all."""
    return ", ".join(f"`{questions(rule)[0]}`" for rule in rules) or "–"


def _documented(claim: Claim) -> str:
    pages = [rule.url for rule in claim.rules if rule.page] + list(claim.pages)
    names = {page: _title(page) for page in dict.fromkeys(pages)}
    return ", ".join(f"[{name}]({page})" for page, name in names.items()) or "–"


def _title(page: str) -> str:
    """The end of its path; of an issue on GitHub also where it is."""
    parts = page.rstrip("/").split("/")
    return f"{parts[-3]}#{parts[-1]}" if parts[-2] == "issues" else parts[-1]


def claims() -> str:
    lines = [
        "| claim | executed against | what that cannot show | documented | asked of an account |",
        "|---|---|---|---|---|",
        *(
            f"| {claim.says} | {claim.executed} | {claim.leaves} | {_documented(claim)} "
            f"| {_asked(claim.rules)} |"
            for claim in CLAIMS
        ),
    ]
    return "\n".join(lines)


def assumptions() -> str:
    """One list for all stand-ins."""
    lines = [
        "| of | the documentation does not tell whether | so | asked of an account |",
        "|---|---|---|---|",
    ]
    for service, rules, beyond in (
        ("Snowflake", list[Documented](Rule), sources.BEYOND),
        ("GitHub", list[Documented](GitHub), github_rules.BEYOND),
    ):
        lines += [
            f"| {service} | {rule.says} | {rule.source.leaned_on} | {_asked([rule])} |"
            for rule in rules
            if rule.is_assumption
        ]
        lines += [
            f"| {service} | (not shown here) {what} | – | no: {why} |"
            for what, why in beyond.items()
        ]
    return "\n".join(lines)


def page(text: str) -> str:
    """The page with the tables of today."""
    for name, table in (("claims", claims()), ("assumptions", assumptions())):
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- end -->)",
            lambda found, table=table: f"{found[1]}{table}{found[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
