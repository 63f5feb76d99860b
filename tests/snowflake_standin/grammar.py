"""The closed grammar: parses a statement's text into a `statements.Statement`, or fails."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Literal

from . import statements as st
from . import vocabulary as vocab
from .errors import SnowflakeError, syntax_error, unknown_statement
from .lexer import Token, tokens
from .names import ACCOUNT, Name, Ref, parse_name

_MAX_IDENTIFIER = 255
_DATA_WORDS = frozenset({"SELECT", "WITH", "INSERT", "UPDATE", "DELETE", "MERGE", "TRUNCATE", "("})
_CREATE_MODIFIERS = frozenset(
    {"TRANSIENT", "TEMPORARY", "TEMP", "LOCAL", "GLOBAL", "SECURE", "RECURSIVE", "VOLATILE"}
)


@cache
def parse(sql: str) -> st.Statement:
    """Parses one statement. The result is cached, because clients often repeat statements.

    Raises:
        SnowflakeError: 001003, for a statement, word or property that the grammar lacks.
    """
    return _Parser(sql).statement()


_ALL_KINDS = sorted(vocab.KINDS | vocab.EMPTY_KINDS, key=lambda k: -len(vocab.kind_words(k)))


class _Parser:
    def __init__(self, sql: str) -> None:
        self._sql = sql
        self._tokens = tokens(sql)
        while self._tokens and self._tokens[-1].upper == ";":
            self._tokens.pop()
        self._at = 0

    # -- tokens ---------------------------------------------------------------------------

    def _peek(self, ahead: int = 0) -> Token | None:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else None

    def _next(self) -> Token:
        token = self._peek()
        if token is None:
            raise syntax_error("<EOF>")
        self._at += 1
        return token

    def _is(self, *words: str) -> bool:
        """Checks whether the next tokens are these keywords or symbols."""
        found = (self._peek(i) for i in range(len(words)))
        return all(t is not None and t.upper == w for t, w in zip(found, words, strict=True))

    def _skip(self, *words: str) -> bool:
        if self._is(*words):
            self._at += len(words)
            return True
        return False

    def _expect(self, *words: str) -> None:
        if not self._skip(*words):
            self._fail()

    def _fail(self) -> None:
        token = self._peek()
        raise syntax_error(token.text if token else "<EOF>")

    def _one_of(self, *words: str) -> str:
        for word in words:
            if self._skip(word):
                return word
        token = self._peek()
        raise syntax_error(token.text if token else "<EOF>")

    def _done(self) -> bool:
        return self._at >= len(self._tokens)

    def _end(self) -> None:
        if not self._done():
            self._fail()

    def _unknown(self, why: str = "") -> SnowflakeError:
        return unknown_statement(self._sql, why)

    # -- names ----------------------------------------------------------------------------

    def _part(self) -> str:
        token = self._next()
        if token.kind not in ("word", "quoted") or token.text.startswith("$"):
            raise syntax_error(token.text)
        if len(token.value) > _MAX_IDENTIFIER:
            raise SnowflakeError(
                1002, "42622", f"SQL compilation error:\nidentifier too long: {token.text[:40]}…"
            )
        return token.value

    def _name(self, parts: int = 3) -> Name:
        found = [self._part()]
        while self._skip("."):
            found.append(self._part())
        if len(found) > parts:
            raise syntax_error(found[-1])
        return tuple(found)

    def _name_of(self, kind: str) -> Name:
        return self._name(_parts(kind))

    def _kind(self, *, plural: bool = False) -> str | None:
        """Reads the kind of object named next, in singular or plural; None when unknown."""
        for kind in _ALL_KINDS:
            if self._skip(*(vocab.plural(kind) if plural else vocab.kind_words(kind))):
                return kind
        return None

    def _required_kind(self, *, plural: bool = False) -> str:
        kind = self._kind(plural=plural)
        if kind is None or (kind in vocab.EMPTY_KINDS and not plural):
            raise self._unknown("kind of object")
        return kind

    def _string(self) -> str:
        token = self._next()
        if token.kind != "string":
            raise syntax_error(token.text)
        return token.value

    def _grantee(self, *, bare: bool = False) -> Ref:
        if self._skip("DATABASE", "ROLE"):
            return Ref("DATABASE_ROLE", self._name(2))
        if self._skip("USER"):
            return Ref("USER", self._name(1))
        known = self._skip("ROLE")
        if not known and (not bare or self._is("SHARE") or self._is("APPLICATION")):
            raise self._unknown("grantee")
        return Ref("ROLE", self._name(1))

    # -- statements -----------------------------------------------------------------------

    def statement(self) -> st.Statement:
        first = self._peek()
        if first is None:
            raise SnowflakeError(900, "42601", "SQL compilation error:\nEmpty SQL statement.")
        if first.upper in _DATA_WORDS:
            return st.Data(self._sql)
        rule = _RULES.get(first.upper)
        if rule is None:
            raise self._unknown()
        self._at += 1
        statement = rule(self)
        self._end()
        return statement

    def _create(self) -> st.Statement:
        replace = self._skip("OR", "REPLACE")
        modifiers: set[str] = set()
        while (token := self._peek()) and token.upper in _CREATE_MODIFIERS:
            modifiers.add(self._next().upper)
        kind = self._required_kind()
        if modifiers - {"TRANSIENT"} and kind not in vocab.RELATION_KINDS:
            raise self._unknown("modifier")
        if kind in ("EXTERNAL_TABLE", "ICEBERG_TABLE"):
            raise self._unknown("its storage is outside of the account: Model.add_object")
        if_not_exists = self._skip("IF", "NOT", "EXISTS")
        if replace and if_not_exists:
            raise syntax_error("IF")
        name = self._name_of(kind)
        temporary = bool(modifiers & {"TEMPORARY", "TEMP", "VOLATILE"})
        if kind in vocab.RELATION_KINDS:
            found = self._create_relation(kind, name, replace, if_not_exists, temporary)
            secure = {"SECURE": True} if "SECURE" in modifiers else {}
            properties = {**found.properties, **secure}
            return dataclasses.replace(found, properties=properties, written=self._sql)
        clone = self._name_of(kind) if kind == "SCHEMA" and self._skip("CLONE") else None
        managed = self._skip("WITH", "MANAGED", "ACCESS")
        self._skip("WITH")
        properties = self._properties(kind)
        managed = managed or self._skip("WITH", "MANAGED", "ACCESS")
        if managed and kind != "SCHEMA":
            raise syntax_error("MANAGED")
        if clone is not None:
            raise self._unknown("clone of a schema")
        return st.Create(kind, name, replace, if_not_exists, properties, managed_access=managed)

    def _create_relation(
        self, kind: str, name: Name, replace: bool, if_not_exists: bool, temporary: bool
    ) -> st.Create:
        grants: Literal["COPY", "IGNORE"] | None = None
        clone = like = None
        columns = body = None
        properties: dict[str, st.Value] = {}
        while not self._done():
            if self._skip("COPY", "GRANTS"):
                grants = "COPY"
            elif self._skip("IGNORE", "GRANTS"):
                grants = "IGNORE"
            elif self._skip("AS"):
                body = self._rest()
            elif self._is("(") and columns is None:
                columns = self._parenthesised()
            elif self._skip("CLUSTER", "BY"):
                self._parenthesised()
            elif kind == "TABLE" and self._skip("CLONE"):
                clone = self._name()
            elif kind == "TABLE" and self._skip("LIKE"):
                like = self._name()
            elif more := self._properties(kind):
                properties.update(more)
            else:
                self._fail()
        if grants == "IGNORE" and not replace:
            raise syntax_error("IGNORE")
        if kind != "TABLE" and body is None:
            raise syntax_error("<EOF>")
        if kind == "TABLE" and not (columns or body or clone or like):
            raise syntax_error("<EOF>")
        return st.Create(
            kind,
            name,
            replace,
            if_not_exists,
            properties,
            temporary=temporary,
            grants=grants,
            clone=clone,
            like=like,
            columns=columns,
            body=body,
        )

    def _rest(self) -> str:
        first = self._next()
        last = self._tokens[-1]
        self._at = len(self._tokens)
        return self._sql[first.start : last.end]

    def _parenthesised(self) -> str:
        """Returns the text of a balanced ``( … )``, with its parentheses."""
        start = self._peek()
        self._expect("(")
        depth = 1
        while depth:
            token = self._next()
            depth += {"(": 1, ")": -1}.get(token.upper, 0)
        assert start is not None
        return self._sql[start.start : self._tokens[self._at - 1].end]

    def _properties(self, kind: str) -> dict[str, st.Value]:
        known = vocab.PROPERTIES[kind]
        found: dict[str, st.Value] = {}
        while (token := self._peek()) and token.kind == "word":
            word = token.upper
            if kind == "RESOURCE_MONITOR" and word == "TRIGGERS":
                self._at += 1
                found["TRIGGERS"] = self._triggers()
                continue
            after = self._peek(1)
            if after is None or after.upper != "=":
                break
            if word not in known:
                raise syntax_error(token.text)
            if word in found:
                raise SnowflakeError(
                    2017, "42601", f"SQL compilation error:\nduplicate property '{word}'."
                )
            self._at += 2
            found[word] = self._value(word, known[word])
            self._skip(",")
        return found

    def _triggers(self) -> tuple[st.Value, ...]:
        found: list[st.Value] = []
        while self._skip("ON"):
            percent = self._integer()
            self._expect("PERCENT")
            self._expect("DO")
            found.append((percent, self._one_of("SUSPEND_IMMEDIATE", "SUSPEND", "NOTIFY")))
        if not found:
            self._fail()
        return tuple(found)

    def _integer(self) -> int:
        token = self._next()
        if token.kind != "number" or not token.text.isdigit():
            raise syntax_error(token.text)
        return int(token.text)

    def _value(self, word: str, shape: vocab.Shape) -> st.Value:
        token = self._peek()
        if token is None:
            raise syntax_error("<EOF>")
        if isinstance(shape, frozenset):
            text = self._dashed_word()
            if text not in shape:
                raise SnowflakeError(
                    1008, "22023", f"SQL compilation error:\ninvalid value '{text}' for '{word}'."
                )
            return text
        if shape == vocab.NAME:
            return self._named_in_string() if token.kind == "string" else ".".join(self._name())
        if shape == vocab.WORD and token.kind != "string":
            return self._part()
        if shape in (vocab.STRING, vocab.WORD):
            return self._string()
        if shape == vocab.INTEGER:
            if self._skip("NULL"):
                return None
            return self._integer()
        if shape == vocab.BOOLEAN:
            return self._one_of("TRUE", "FALSE") == "TRUE"
        if shape == vocab.STRUCT:
            return self._struct(word)
        return self._list(word, names=shape == vocab.NAMES)

    def _named_in_string(self) -> str:
        """Reads the name in a string: ``'my_role'`` is MY_ROLE, and ``'"my_role"'`` my_role."""
        text = self._string()
        try:
            return ".".join(parse_name(text))
        except ValueError:
            raise syntax_error(text) from None

    def _dashed_word(self) -> str:
        """Reads ``XSMALL``, ``'x-small'`` or ``X-SMALL``."""
        token = self._next()
        text = token.value.upper()
        while self._skip("-"):
            text += "-" + self._next().value.upper()
        return text

    def _list(self, word: str, *, names: bool) -> tuple[st.Value, ...]:
        self._expect("(")
        found: list[st.Value] = []
        while not self._skip(")"):
            token = self._peek()
            if names and token is not None and token.kind != "string":
                found.append(".".join(self._name()))
            else:
                found.append(self._string())
            if not self._is(")"):
                self._expect(",")
        allowed = vocab.WORDS_IN.get(word)
        for value in found:
            if allowed is not None and str(value).upper() not in allowed:
                raise SnowflakeError(
                    1008, "22023", f"SQL compilation error:\ninvalid value '{value}' for '{word}'."
                )
        return tuple(found)

    def _struct(self, word: str) -> dict[str, st.Value]:
        fields = vocab.STRUCT_FIELDS[word]
        found: dict[str, st.Value] = {}
        self._expect("(")
        while not self._skip(")"):
            token = self._next()
            if token.upper not in fields:
                raise syntax_error(token.text)
            self._expect("=")
            found[token.upper] = self._scalar()
            self._skip(",")
        return found

    def _scalar(self) -> st.Value:
        token = self._peek()
        if token is not None and token.upper == "(":
            return self._list("", names=True)
        token = self._next()
        if token.kind == "number":
            return int(token.text)
        if token.upper in ("TRUE", "FALSE"):
            return token.upper == "TRUE"
        if token.kind not in ("word", "string"):
            raise syntax_error(token.text)
        return token.value

    def _alter(self) -> st.Statement:
        if self._skip("SESSION"):
            return self._alter_session()
        if self._skip("ACCOUNT"):
            return self._alter_object("ACCOUNT", (), if_exists=False)
        if self._is("USER"):
            return self._alter_user()
        kind = self._required_kind()
        if_exists = self._skip("IF", "EXISTS")
        return self._alter_object(kind, self._name_of(kind), if_exists)

    def _alter_session(self) -> st.AlterSession:
        if self._skip("UNSET"):
            unset = self._words()
            if not set(unset) <= vocab.SESSION_PARAMETERS:
                raise self._unknown("session parameter")
            return st.AlterSession({}, unset)
        self._expect("SET")
        found: dict[str, st.Value] = {}
        while not self._done():
            word = self._part()
            if word not in vocab.SESSION_PARAMETERS:
                raise self._unknown("session parameter")
            self._expect("=")
            found[word] = self._scalar()
            self._skip(",")
        return st.AlterSession(found)

    def _words(self) -> tuple[str, ...]:
        found = [self._part()]
        while self._skip(",") or not self._done():
            found.append(self._part())
        return tuple(found)

    def _alter_user(self) -> st.Statement:
        self._expect("USER")
        if_exists = self._skip("IF", "EXISTS")
        if verb := self._key_pair_verb():
            return self._key_pair(None, verb, if_exists)
        user = self._name(1)
        if verb := self._key_pair_verb():
            return self._key_pair(user, verb, if_exists)
        return self._alter_object("USER", user, if_exists)

    def _key_pair_verb(self) -> st.KeyPairAction | None:
        return next((v for v in _KEY_PAIR_PROPERTIES if self._skip(v, "KEY", "PAIR")), None)

    def _key_pair(self, user: Name | None, action: st.KeyPairAction, if_exists: bool) -> st.KeyPair:
        key = self._part()
        new_name = None
        if action == "MODIFY":
            if self._skip("RENAME", "TO"):
                new_name = self._part()
            else:
                self._expect("SET")
        properties = self._properties("KEY_PAIR") if new_name is None else {}
        foreign = set(properties) - _KEY_PAIR_PROPERTIES[action]
        if foreign:
            raise syntax_error(foreign.pop())
        if action in ("ADD", "ROTATE") and "PUBLIC_KEY" not in properties:
            raise syntax_error("<EOF>")
        return st.KeyPair(user, action, key, properties, if_exists, new_name)

    def _alter_object(self, kind: str, name: Name, if_exists: bool) -> st.Alter:
        def alter(action: str, **more: object) -> st.Alter:
            return st.Alter(kind, name, action, if_exists, **more)  # type: ignore[arg-type]

        if self._skip("RENAME", "TO"):
            return alter("RENAME", new_name=self._name_of(kind))
        if kind in ("TABLE", "VIEW") and (statement := self._alter_relation(kind, name, if_exists)):
            return statement
        if kind in ("WAREHOUSE", "DYNAMIC_TABLE"):
            if self._skip("SUSPEND"):
                return alter("SUSPEND")
            if self._skip("RESUME"):
                if kind == "WAREHOUSE":
                    self._skip("IF", "SUSPENDED")
                return alter("RESUME")
            if kind == "DYNAMIC_TABLE" and self._skip("REFRESH"):
                return alter("REFRESH")
        if kind == "VIEW":
            for verb in ("SET", "UNSET"):
                if self._skip(verb, "SECURE"):
                    return alter("SET", properties={"SECURE": verb == "SET"})
        if kind == "SCHEMA":
            for verb in ("ENABLE", "DISABLE"):
                if self._skip(verb, "MANAGED", "ACCESS"):
                    return alter(f"{verb} MANAGED ACCESS")
        unset = self._skip("UNSET")
        if not unset:
            self._expect("SET")
        if kind in ("USER", "ACCOUNT"):
            for policy in ("AUTHENTICATION", "PASSWORD", "SESSION"):
                if self._skip(policy, "POLICY"):
                    target = Ref(f"{policy}_POLICY", () if unset else self._name())
                    self._skip("FORCE")
                    return alter("UNSET" if unset else "SET", policy=target)
        if unset:
            words = self._words()
            unknown = set(words) - set(vocab.PROPERTIES[kind])
            if unknown:
                raise syntax_error(unknown.pop())
            return alter("UNSET", unset=words)
        properties = self._properties(kind)
        late = set(properties) & vocab.CREATE_ONLY.get(kind, frozenset())
        if not properties or late:
            raise syntax_error(late.pop() if late else "<EOF>")
        return alter("SET", properties=properties)

    def _alter_relation(self, kind: str, name: Name, if_exists: bool) -> st.Alter | None:
        """Parses the forms of ALTER TABLE that the data engine carries out; None for others."""
        if kind == "TABLE" and self._skip("SWAP", "WITH"):
            return st.Alter(kind, name, "SWAP", if_exists, new_name=self._name())
        clustering = (
            ("CLUSTER", "BY"),
            ("DROP", "CLUSTERING", "KEY"),
            ("RESUME", "RECLUSTER"),
            ("SUSPEND", "RECLUSTER"),
        )
        for words in clustering:
            if kind == "TABLE" and self._skip(*words):
                if words[0] == "CLUSTER":
                    self._parenthesised()
                return st.Alter(kind, name, "CLUSTER", if_exists)
        verb = next((v for v in ("ADD", "DROP", "ALTER", "MODIFY") if self._skip(v)), None)
        if verb is None:
            return None
        explicit = self._skip("COLUMN")
        if not explicit and any(self._is(word) for word in vocab.NO_COLUMNS):
            raise self._unknown(f"{verb} of something other than a column")
        items = self._items()
        if any(vocab.ON_COLUMNS & set(item.upper().split()) for item in items):
            raise self._unknown("policies and tags")
        changes = tuple(f"{verb} COLUMN {item}" for item in items)
        return st.Alter(kind, name, "COLUMNS", if_exists, changes=changes)

    def _items(self) -> list[str]:
        """Texts between commas outside of parentheses, up to the end."""
        found: list[str] = []
        depth = 0
        start = end = self._next()
        while not self._done():
            token = self._next()
            depth += {"(": 1, ")": -1}.get(token.upper, 0)
            if token.upper == "," and depth == 0:
                found.append(self._sql[start.start : end.end])
                self._skip("COLUMN")
                start = end = self._next()
            else:
                end = token
        return [*found, self._sql[start.start : end.end]]

    def _drop(self) -> st.Drop:
        kind = self._required_kind()
        if_exists = self._skip("IF", "EXISTS")
        name = self._name_of(kind)
        restrict = False
        if kind in ("SCHEMA", "DATABASE", *vocab.RELATION_KINDS):
            restrict = not self._skip("CASCADE") and self._skip("RESTRICT")
        return st.Drop(kind, name, if_exists, restrict)

    def _grant(self, *, revoke: bool = False) -> st.Statement:
        toward = "FROM" if revoke else "TO"
        if self._skip("DATABASE", "ROLE"):
            return self._grant_role(Ref("DATABASE_ROLE", self._name(2)), toward)
        if self._skip("ROLE"):
            return self._grant_role(Ref("ROLE", self._name(1)), toward)
        if not revoke and self._skip("OWNERSHIP"):
            return self._grant_ownership()
        option_only = revoke and self._skip("GRANT", "OPTION", "FOR")
        privileges = self._privileges()
        on = self._securable(privileges)
        self._expect(toward)
        to = self._grantee(bare=on.kind != "ACCOUNT" and on.scope == "ONE")
        option = not revoke and self._skip("WITH", "GRANT", "OPTION")
        if revoke and not self._skip("CASCADE"):
            self._skip("RESTRICT")
        return st.Grant(privileges, on, to, revoke, option or option_only)

    def _grant_role(self, role: Ref, toward: str) -> st.GrantRole:
        self._expect(toward)
        return st.GrantRole(role, self._grantee(), revoke=toward == "FROM")

    def _grant_ownership(self) -> st.GrantOwnership:
        on = self._securable(("OWNERSHIP",))
        self._expect("TO")
        to = self._grantee()
        for choice in ("COPY", "REVOKE"):
            if self._skip(choice, "CURRENT", "GRANTS"):
                return st.GrantOwnership(on, to, choice)
        return st.GrantOwnership(on, to)

    def _privileges(self) -> tuple[str, ...]:
        """Privileges up to ON; empty for ALL [PRIVILEGES]."""
        if self._skip("ALL"):
            self._skip("PRIVILEGES")
            self._expect("ON")
            return ()
        found: list[str] = []
        words: list[str] = []
        while True:
            token = self._next()
            if token.upper in (",", "ON"):
                if not words:
                    raise syntax_error(token.text)
                found.append(" ".join(words))
                words = []
                if token.upper == "ON":
                    return tuple(found)
            elif token.kind == "word":
                words.append(token.upper)
            else:
                raise syntax_error(token.text)

    def _securable(self, privileges: tuple[str, ...]) -> st.Securable:
        if privileges == ("OWNERSHIP",):
            self._skip("ON")
        if self._skip("ACCOUNT"):
            on = st.Securable("ACCOUNT", ())
        elif self._is("ALL") or self._is("FUTURE"):
            scope: Literal["ALL", "FUTURE"] = "ALL" if self._skip("ALL") else "FUTURE"
            self._skip("FUTURE")
            kind = self._required_kind(plural=True)
            self._expect("IN")
            container = self._one_of("SCHEMA", "DATABASE")
            on = st.Securable(kind, self._name_of(container), scope, container)
        else:
            kind = self._kind() or ""
            if kind in vocab.EMPTY_KINDS:
                raise self._unknown("kind of object")
            on = st.Securable(kind, self._name_of(kind) if kind else self._name())
        # A privilege on a name without a kind is one of a table or a view.
        known = vocab.PRIVILEGES[on.kind or "TABLE"] if on.kind not in vocab.NOT_BY_GRANT else ()
        for privilege in privileges:
            if privilege != "OWNERSHIP" and privilege not in known:
                raise syntax_error(privilege)
        return on

    def _use(self) -> st.Statement:
        if self._skip("SECONDARY", "ROLES"):
            return st.UseSecondaryRoles(self._one_of("ALL", "NONE") == "ALL")
        for kind in ("ROLE", "WAREHOUSE", "DATABASE", "SCHEMA"):
            following = self._peek(1)
            if self._is(kind) and following is not None and following.upper != ".":
                self._at += 1
                return st.Use(kind, self._name_of(kind))
        return st.Use("", self._name(2))

    def _show(self) -> st.Statement:
        future = self._is("FUTURE")
        if self._skip("FUTURE", "GRANTS") or self._skip("GRANTS"):
            return self._show_grants(future=future)
        if self._skip("USER", "KEY", "PAIRS"):
            within = Ref("USER", self._name(1)) if self._skip("FOR", "USER") else None
            return st.Show("KEY_PAIR", within=within)
        terse = self._skip("TERSE")
        if self._skip("OBJECTS"):
            kind = "OBJECT"
        elif self._skip("PARAMETERS"):
            return self._show_parameters()
        elif self._skip("USER", "FUNCTIONS"):
            kind = "USER_FUNCTION"
        else:
            kind = self._required_kind(plural=True)
            if kind in vocab.EMPTY_KINDS:
                raise self._unknown("kind of object")
        like = self._string() if self._skip("LIKE") else None
        within = self._within(kind) if self._skip("IN") else None
        starts_with = self._string() if self._skip("STARTS", "WITH") else None
        limit = self._integer() if self._skip("LIMIT") else None
        after = self._string() if limit is not None and self._skip("FROM") else None
        return st.Show(kind, like, starts_with, within, limit, after, terse)

    def _within(self, kind: str) -> Ref:
        if self._skip("ACCOUNT"):
            return ACCOUNT
        explicit = next((k for k in ("DATABASE", "SCHEMA") if self._skip(k)), None)
        if explicit and (self._done() or self._is("STARTS") or self._is("LIMIT")):
            return Ref(explicit, ())
        container = explicit or ("DATABASE" if kind in vocab.DATABASE_KINDS else "SCHEMA")
        return Ref(container, self._name_of(container))

    def _show_parameters(self) -> st.Show:
        like = self._string() if self._skip("LIKE") else None
        within = None
        if (self._skip("IN") or self._skip("FOR")) and not self._skip("SESSION"):
            if self._skip("ACCOUNT"):
                within = ACCOUNT
            else:
                kind = self._one_of("USER", "WAREHOUSE")
                within = Ref(kind, self._name(1))
        return st.Show("PARAMETER", like, within=within)

    def _show_grants(self, *, future: bool) -> st.ShowGrants:
        prefix = "FUTURE " if future else ""
        if self._done() and not future:
            return st.ShowGrants("TO", Ref("USER", ()))
        if future and self._skip("IN"):
            kind = self._one_of("SCHEMA", "DATABASE")
            return st.ShowGrants("FUTURE IN", Ref(kind, self._name_of(kind)))
        form = self._one_of("TO") if future else self._one_of("TO", "OF", "ON")
        if form in ("TO", "OF"):
            return st.ShowGrants(f"{prefix}{form}", self._grantee())
        if self._skip("ACCOUNT"):
            return st.ShowGrants("ON", ACCOUNT)
        on_kind = self._kind() or ""
        name = self._name_of(on_kind) if on_kind else self._name()
        return st.ShowGrants("ON", Ref(on_kind, name))

    def _describe(self) -> st.Describe:
        kind = self._required_kind()
        if kind not in (*vocab.RELATION_KINDS, "USER", "NETWORK_POLICY", "AUTHENTICATION_POLICY"):
            raise self._unknown("describe")
        return st.Describe(kind, self._name_of(kind))

    def _comment(self) -> st.Comment:
        if_exists = self._skip("IF", "EXISTS")
        self._expect("ON")
        kind = self._required_kind()
        name = self._name_of(kind)
        self._expect("IS")
        return st.Comment(kind, name, self._string(), if_exists)

    def _transaction(self, action: Literal["BEGIN", "COMMIT", "ROLLBACK"]) -> st.Transaction:
        if not self._skip("TRANSACTION"):
            self._skip("WORK")
        if not self._done():
            raise self._unknown("a script, not a transaction")
        return st.Transaction(action)


def _parts(kind: str) -> int:
    """Returns how many parts a fully qualified name of this kind has."""
    if kind in vocab.SCHEMA_KINDS or kind in vocab.EMPTY_KINDS:
        return 3
    return 2 if kind in vocab.DATABASE_KINDS else 1


_KEY_PAIR_PROPERTIES: dict[st.KeyPairAction, set[str]] = {
    "ADD": {"PUBLIC_KEY", "ROLE_RESTRICTION", "DAYS_TO_EXPIRY", "COMMENT"},
    "ROTATE": {"PUBLIC_KEY", "EXPIRE_ROTATED_KEY_PAIR_AFTER_HOURS"},
    "MODIFY": {"DISABLED", "COMMENT"},
    "REMOVE": set(),
}
_RULES: dict[str, Callable[[_Parser], st.Statement]] = {
    "CREATE": _Parser._create,
    "ALTER": _Parser._alter,
    "DROP": _Parser._drop,
    "GRANT": _Parser._grant,
    "REVOKE": lambda p: p._grant(revoke=True),
    "USE": _Parser._use,
    "SHOW": _Parser._show,
    "DESC": _Parser._describe,
    "DESCRIBE": _Parser._describe,
    "COMMENT": _Parser._comment,
    "BEGIN": lambda p: p._transaction("BEGIN"),
    "START": lambda p: p._transaction("BEGIN"),
    "COMMIT": lambda p: p._transaction("COMMIT"),
    "ROLLBACK": lambda p: p._transaction("ROLLBACK"),
}
