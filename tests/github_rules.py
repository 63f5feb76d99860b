"""Names the source of each rule of the stand-in for GitHub (tests/github_api.py)."""

from __future__ import annotations

from tests.sources import Documented, Source

_DEPLOYMENTS = "actions/reference/workflows-and-actions/deployments-and-environments"
_MANAGE = "actions/how-tos/deploy/configure-and-manage-deployments/manage-environments"
_EVENTS = "actions/reference/workflows-and-actions/events-that-trigger-workflows"
_TOKEN = "actions/concepts/security/github_token"
_ACTIONS_SETTINGS = (
    "repositories/managing-your-repositorys-settings-and-features/"
    "enabling-features-for-your-repository/managing-github-actions-settings-for-a-repository"
)


class Rule(Documented):
    """The rules that the stand-in follows."""

    MADE_BY_JOB = Source(
        "a job that names an environment which does not exist creates it, without any rule",
        _MANAGE,
        "github_environments.Settings.job_names",
    )
    ENVIRONMENT_SHOWN = Source(
        "an environment is shown with its rules and its branch policy; null means all branches",
        "rest/deployments/environments",
        "github_environments.Environment.as_json",
    )
    ENVIRONMENT_POLICY = Source(
        "an environment is limited to protected branches or to named ones, not to both or neither",
        "rest/deployments/environments",
        "github_environments.put",
    )
    PUT_REPLACES = Source(
        "PUT of an environment removes the rules that the request omits",
        "",
        "github_environments.put",
        "an environment that has rules is never changed; one that was limited is read again",
    )
    NAMES_IGNORE_CASE = Source(
        "names of environments are not case-sensitive",
        f"{_MANAGE}#creating-an-environment",
        "github_environments.found",
    )
    PATTERNS = Source(
        "patterns of branches and tags belong to an environment that is limited to named ones: "
        "404 for others, 303 for a pattern that exists",
        "rest/deployments/branch-policies",
        "github_environments.add_pattern",
    )
    PATTERN_MATCHES = Source(
        "a pattern is matched as Ruby's File.fnmatch does: `*` does not match `/`",
        _DEPLOYMENTS,
        "github_environments.matches",
    )
    BRANCH_REFUSED = Source(
        "a job fails before it begins if its environment does not allow its branch",
        _DEPLOYMENTS,
        "github_environments.Settings.may_use",
    )
    PROTECTED_BRANCHES = Source(
        "a limit to protected branches has no effect if no branch is protected",
        _DEPLOYMENTS,
        "github_environments.Settings.may_use",
    )
    PLANS = Source(
        "private repositories have environments from Pro and Team on, and reviewers and wait "
        "timers with Enterprise only",
        _DEPLOYMENTS,
        "github_environments.put",
    )
    FREE_REFUSES = Source(
        "a private repository of the Free plan creates the environment nevertheless, and refuses "
        "its rules with 422",
        "https://github.com/integrations/terraform-provider-github/issues/1311",
        "github_environments.put",
    )
    WAIT_TIMER = Source(
        "a wait timer has at most 43,200 minutes, and there are at most six reviewers",
        "rest/deployments/environments",
        "github_environments.put",
    )
    ENVIRONMENT_DELETED = Source(
        "an environment is deleted with its secrets and rules",
        _MANAGE,
        "github_environments.delete",
    )
    SECRETS_SHOWN = Source(
        "secrets are listed by name, never with their value, and sent encrypted by a public key",
        "rest/actions/secrets",
        "github_environments.names",
    )
    SECRET_NAMES = Source(
        "a secret's name has letters, digits and underscores, and does not begin with GITHUB_",
        "actions/reference/secrets-reference",
        "github_environments.set_secret",
    )
    REPOSITORY_SHOWN = Source(
        "a repository shows its visibility and its default branch",
        "rest/repos/repos",
        "github_environments.get_repository",
    )
    PLAN_TOLD = Source(
        "an organisation shows its plan to its owners",
        "rest/orgs/orgs",
        "github_api.GitHubApi._organisation",
    )
    DISPATCH_UNHEARD = Source(
        "a repository_dispatch is answered with success even if no workflow listens",
        "rest/repos/repos",
        "github_api.GitHubApi._dispatch",
    )
    DISPATCH_LIMITS = Source(
        "a repository_dispatch has a type of at most 100 characters and at most ten properties",
        "rest/repos/repos",
        "github_api.GitHubApi._dispatch",
    )
    WORKFLOW_DISPATCH = Source(
        "a workflow_dispatch needs a workflow that listens, a ref that exists and inputs that the "
        "workflow has; it can return the run",
        "rest/actions/workflows",
        "github_api.GitHubApi._start",
    )
    DISABLED = Source(
        "a disabled workflow is not started, and the response says so",
        "https://github.com/benc-uk/workflow-dispatch/issues/72",
        "github_api.GitHubApi._start",
    )
    REFS = Source(
        "a ref is created once, by its full name",
        "rest/git/refs",
        "github_api.GitHubApi._make_ref",
    )
    TOKEN_READS = Source(
        "a job's token reads environments with `actions: read`; without it only in a public "
        "repository",
        "rest/authentication/permissions-required-for-github-apps",
        "github_api.GitHubApi._route",
    )
    TOKEN_STARTS_NOTHING = Source(
        "what a job's token does starts no workflow, except by repository_dispatch and "
        "workflow_dispatch",
        _TOKEN,
        "github_actions.Actions.happened",
    )
    TOKEN_PULLS = Source(
        "a job's token opens pull requests only where a setting allows it",
        _ACTIONS_SETTINGS,
        "github_api.GitHubApi._open_pull",
    )
    TOKEN_PULLS_WAIT = Source(
        "the workflows of a pull request that a job's token opened wait for somebody's approval",
        _EVENTS,
        "github_actions.Actions.happened",
    )
    TOKEN_WORKFLOWS = Source(
        "a job's token never changes workflow files",
        "https://github.com/peter-evans/create-pull-request/issues/3558",
        "github_api.GitHubApi._put_file",
    )
    ATTEMPTS = Source(
        "a rerun keeps the number of the run, and its first attempt can be read",
        "rest/actions/workflow-runs",
        "github_actions.Actions.again",
    )
    ARTIFACT_NAMES = Source(
        "attempts of a run share its artifacts: a name that two attempts use is there twice",
        "https://github.com/actions/deploy-pages/issues/338",
        "github_actions.Actions._upload",
    )

    @property
    def site(self) -> str:
        return "https://docs.github.com/en/"


BEYOND = {
    "`permissions:` of a job's token, beyond those that the run checks": "each permission takes "
    "a job",
    "schedules, and that GitHub disables them after 60 days without activity": "it takes 60 days",
    "concurrency groups: which runs wait, and which are cancelled": "it takes a hundred runs",
    "required reviewers: approvals, and runs that wait for 30 days": "it takes a second person",
    "GitHub's OIDC tokens, and who trusts them": "it takes an AWS or Snowflake account",
    "GitHub Pages: who can see the site of a private repository": "it would publish something",
    "GitHub Apps: what an installed App may do": "an owner has to install one",
    "rate limits": "reaching one blocks other users of the account",
}
"""What the stand-in cannot show, and why a conformance run does not ask about it either."""
