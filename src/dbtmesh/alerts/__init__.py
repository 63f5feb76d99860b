"""Sends alerts about deploys. Each channel has its own module: `slack`, `email`.

To add a channel, write a module with a `CHANNEL` (see `channel.Channel`) and list it in
`channels.CHANNELS`; offer it in copier.yml (`alerts`), give its settings to the job `alert` of the
template's deploy workflow, and describe them in the member's README.md and docs/ci.md.
"""
