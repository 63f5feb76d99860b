"""Tells people how a deploy went. One module for each channel: `slack`, `email`.

To add a channel, write a module with a `CHANNEL` (see `channel.Channel`) and name it in
`channels.CHANNELS`; offer it in copier.yml (`alerts`), give its settings to the job `alert` of the
template's deploy workflow, and describe them in the member's README.md and docs/ci.md.
"""
