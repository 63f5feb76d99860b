"""Writes the tables of docs/proof.md: what the tests cover, and what they assume.

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
    """Something that the README says.

    executed: what the tests run.
    leaves: what they do not cover.
    rules: the rules of the stand-in on which it relies.
    pages: documentation of other services.
    """

    says: str
    executed: str
    leaves: str = "–"
    rules: tuple[Documented, ...] = ()
    pages: tuple[str, ...] = ()


_MODEL = (
    "the SQL, the real connector and dbt-snowflake, with a stand-in for Snowflake that models its "
    "roles and runs SQL in [fakesnow](https://github.com/tekumara/fakesnow)"
)
CLAIMS = (
    Claim(
        "a member renders and builds, and keeps its edits in updates",
        "Copier, git, dbt Core 1.10, 1.11, 1.12 and dbt v2 on DuckDB",
    ),
    Claim(
        "publishing is atomic, loses no publication, and never replaces a newer build by "
        "an older one",
        "folders, and an S3 server (SeaweedFS) that checks signatures and conditions; processes "
        "are killed and responses lost",
        "S3's own timing",
        pages=("https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html",),
    ),
    Claim(
        "roles and grants equal the matrix of [snowflake.md](snowflake.md)",
        _MODEL,
        "whether Snowflake's rules are those of the model",
        rules=(
            *(Rule.USAGE_OPENS, Rule.PRIVILEGE_NEEDED, Rule.MANAGED_ACCESS, Rule.FUTURE_USAGE),
            *(Rule.FUTURE_SHADOWS, Rule.DATABASE_ROLE_USAGE, Rule.SECONDARY_ROLES),
        ),
    ),
    Claim(
        "`verify` reports all drift, and no false positives",
        "the same stand-in, with grants of every kind added and removed, before and after bcr-2371",
        "differences in the output of SHOW",
        rules=(Rule.MANAGED_SHOWN, Rule.KINDS_SHOWN, Rule.GRANTOR, Rule.USER_GRANTS, Rule.COLUMNS),
    ),
    Claim(
        "models that are not public are never readable, also not during a run",
        "the same stand-in, with CREATE OR REPLACE that keeps grants and that drops them, and with "
        "killed and empty runs",
        "whether Snowflake's rules are those of the model",
        rules=(Rule.REPLACE_COPIES, Rule.DATABASE_ROLE_TOLD, Rule.KIND_LEFT_OUT),
    ),
    Claim(
        "key pairs can be created and rotated, and either can be interrupted at any point",
        "the same stand-in, which checks sign-in tokens against the registered key",
        "network and authentication policies, MFA",
        rules=(Rule.USER_KEYS, Rule.DESCRIBE_USER, Rule.KEY_PAIRS, Rule.KEY_PAIRS_SHOWN),
    ),
    Claim(
        "a demo is cheap, and a teardown removes everything",
        "the same stand-in: the statements of the monitor, and the order of DROP statements",
        "whether a monitor suspends",
        rules=(Rule.MONITORS, Rule.POLICIES, Rule.DROPPED_ROLE),
    ),
    Claim(
        "`apply --adopt` takes over existing objects, other roles keep their grants, and "
        "`teardown` "
        "gives the objects back",
        "the same model, without a server: accounts with a role of the team's own, with "
        "and without "
        "managed access schemas",
        "kinds of objects that the model lacks, such as tasks and shares",
        rules=(
            *(Rule.OWNERSHIP, Rule.MANAGED_OWNER, Rule.MANAGED_OWNER_ITSELF, Rule.FUTURE_OWNER),
            Rule.MATERIALIZED_OWNER,
        ),
    ),
    Claim(
        "what everybody has on a project's objects by the role PUBLIC is shown, "
        "`apply --revoke-public` revokes it, and `teardown` gives it back",
        "the same model, without a server: grants to PUBLIC on databases, schemas, models, a role "
        "and a warehouse",
        "kinds of objects that the model lacks",
    ),
    Claim(
        "all stores follow the publication protocol: eight processes make 1,000 publications with "
        "crashes, lost responses and throttling",
        "folders, SeaweedFS, Azurite, a stand-in for Google Cloud Storage, and the real connector "
        "with the stand-in for Snowflake, where concurrent INSERTs do not see each other's rows",
        "Google and Snowflake themselves; sign-in to Azure and Google; their role conditions",
        rules=(Rule.READ_COMMITTED,),
        pages=(
            "https://docs.cloud.google.com/storage/docs/request-preconditions",
            "https://learn.microsoft.com/en-us/rest/api/storageservices/"
            "specifying-conditional-headers-for-blob-service-operations",
        ),
    ),
    Claim(
        "with the registry in Snowflake, only the named readers see a model that is "
        "limited to them",
        _MODEL,
        "whether IS_DATABASE_ROLE_IN_SESSION sees a reader's roles in a secure view",
        rules=(Rule.ROLE_IN_SESSION, Rule.VIEW_OWNER),
    ),
    Claim(
        "identities on AWS have only the permissions that they need",
        "the policies of `aws/registry.yml`, which the S3 server enforces; AWS's evaluation of "
        "policies is modelled",
        "CloudFormation itself, roles with a path, other accounts",
        pages=(
            ""
            "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html",
        ),
    ),
    Claim(
        "workflows run from a pull request to the deploys of readers",
        "[act](https://github.com/nektos/act), with every `run` step unchanged; actions of others "
        "are replaced",
        "event filters, concurrency, environments, `permissions:`, schedules, GitHub's OIDC tokens",
        rules=(
            *(GitHub.DISPATCH_UNHEARD, GitHub.WORKFLOW_DISPATCH, GitHub.DISABLED),
            *(GitHub.TOKEN_STARTS_NOTHING, GitHub.ATTEMPTS, GitHub.ARTIFACT_NAMES),
        ),
    ),
    Claim(
        "environments are limited to their branches before they hold a key",
        "the real `gh`, with a stand-in for GitHub's REST API that has plans, policies, and jobs "
        "that create environments",
        "approvals by a second person",
        rules=(
            *(GitHub.MADE_BY_JOB, GitHub.ENVIRONMENT_POLICY, GitHub.PATTERNS),
            *(GitHub.PATTERN_MATCHES, GitHub.PUT_REPLACES, GitHub.PLANS, GitHub.FREE_REFUSES),
        ),
    ),
    Claim(
        "a deploy does not start if other branches can use its environment",
        "`check-environment`, with the same stand-in and a job's token",
        "–",
        rules=(GitHub.TOKEN_READS, GitHub.BRANCH_REFUSED, GitHub.PROTECTED_BRANCHES),
    ),
    Claim(
        "without the App, an update of the template opens a pull request, or says which "
        "setting to enable",
        "act, with a stand-in for `gh` that refuses",
        "how GitHub refuses",
        rules=(GitHub.TOKEN_PULLS, GitHub.TOKEN_PULLS_WAIT, GitHub.TOKEN_WORKFLOWS),
    ),
    Claim(
        "dbt v2 works on Snowflake",
        "the real ADBC driver, with the stand-in for Snowflake: see [engines.md](engines.md)",
        "Snowflake's own types and dialect",
        rules=(Rule.COLUMNS, Rule.INFORMATION_SCHEMA),
    ),
)


def questions(rule: Documented) -> list[str]:
    """Returns the names of the questions that check a rule on an account."""
    asked: tuple[Question, ...] = (*STATEMENTS, *REQUESTS)
    return [question.name for question in asked if question.rule is rule]


def _asked(rules: Iterable[Documented]) -> str:
    """Returns the first question of each rule; a run's report has all of them."""
    return ", ".join(f"`{questions(rule)[0]}`" for rule in rules) or "–"


def _documented(claim: Claim) -> str:
    pages = [rule.url for rule in claim.rules if rule.page] + list(claim.pages)
    names = {page: _title(page) for page in dict.fromkeys(pages)}
    return ", ".join(f"[{name}]({page})" for page, name in names.items()) or "–"


def _title(page: str) -> str:
    """Returns the end of a page's path, and for an issue on GitHub the repository, too."""
    parts = page.rstrip("/").split("/")
    return f"{parts[-3]}#{parts[-1]}" if parts[-2] == "issues" else parts[-1]


def claims() -> str:
    lines = [
        "| claim | tested with | not covered | service's documentation | conformance check |",
        "|---|---|---|---|---|",
        *(
            f"| {claim.says} | {claim.executed} | {claim.leaves} | {_documented(claim)} "
            f"| {_asked(claim.rules)} |"
            for claim in CLAIMS
        ),
    ]
    return "\n".join(lines)


def assumptions() -> str:
    """Returns one table of the assumptions of all stand-ins."""
    lines = [
        "| service | not documented: whether | therefore | conformance check |",
        "|---|---|---|---|",
    ]
    rules: tuple[tuple[str, Iterable[Documented]], ...] = (("Snowflake", Rule), ("GitHub", GitHub))
    lines += [
        f"| {service} | {rule.says} | {rule.source.leaned_on} | {_asked([rule])} |"
        for service, listed in rules
        for rule in listed
        if rule.is_assumption
    ]
    return "\n".join(lines)


def beyond() -> str:
    """Returns the table of what neither the stand-ins nor a conformance run can show."""
    lines = ["| service | not modelled | no conformance check, because |", "|---|---|---|"]
    lines += [
        f"| {service} | {what} | {why} |"
        for service, left in (("Snowflake", sources.BEYOND), ("GitHub", github_rules.BEYOND))
        for what, why in left.items()
    ]
    return "\n".join(lines)


def page(text: str) -> str:
    """Returns the page with current tables."""
    for name, table in (("claims", claims()), ("assumptions", assumptions()), ("beyond", beyond())):
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(\n<!-- end -->)",
            lambda found, table=table: f"{found[1]}{table}{found[2]}",  # type: ignore[misc]
            text,
            flags=re.DOTALL,
        )
    return text


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
