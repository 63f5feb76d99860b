"""The hosts of repositories and of CI, one package for each. So far there is only GitHub.

To add a host, write a package beside `github/` with the same parts:

  job, event           the running job (repository, commit, page of its run), and what started it
  workflow_commands    warnings, outputs and summaries of a step
  workflow_runs        how earlier runs ended; `disabled_workflows`: which do not run any more
  oidc                 the job's identity token, which Snowflake and the clouds trust
  rest                 the host's API: comments on pull requests, and all of the following
  environments, protection, secret    who can deploy, and where the key of deploys is stored
  reader_deploys       starts the deploys of projects that read this one; `app`: with which token

Its workflows go into a layer of template/. Commands import `ci.github` by name;
docs/architecture.md lists them, and where else the host's tokens are trusted.
"""
