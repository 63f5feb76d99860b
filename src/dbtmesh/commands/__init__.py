"""The commands of a member, one module for each: it parses flags and sets the exit status.

To add one, write a module with `main(words, root)`, whose docstring is its `--help`, and name it in
`__main__.COMMANDS`. People get a file of a few lines in `template/{{ … }}/scripts/`, the workflows
call `python -m dbtmesh <command>`. docs/member.md lists the commands.
"""
