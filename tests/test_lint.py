"""The code opens no door: nothing that others wrote is run or unpickled."""

import ast
import importlib
import itertools
import pathlib
import pkgutil
import re
import re._constants as kinds
import re._parser as parser
import time
from collections.abc import Iterator

import pytest

import rlvr_jax
from rlvr_jax import tasks, verify

ROOT = pathlib.Path(rlvr_jax.__file__).parents[1]
FILES = sorted(
  path
  for folder in ("rlvr_jax", "experiments", "configs")
  for path in (ROOT / folder).rglob("*.py")
)
IMPORTS = {"pickle", "cloudpickle", "dill", "marshal", "shelve", "joblib"}
CALLS = {
  *("eval", "exec", "compile", "__import__", "execfile"),
  *("os.system", "os.popen", "torch.load", "yaml.load", "yaml.unsafe_load"),
  *("sympify", "sympy.sympify", "parse_expr", "sympy.parse_expr"),
  *("runpy.run_path", "runpy.run_module", "subprocess.getoutput"),
}
# What these say must be said out loud to be no, or not be said.
SWITCHES = {"allow_pickle", "trust_remote_code", "shell"}
# These read texts of any length; in `verify` they get integers.
EXACT = {"Fraction", "Decimal"}


def dotted(node: ast.expr) -> str:
  """The name of what is called: "os.system"; "" for anything else."""
  if isinstance(node, ast.Name):
    return node.id
  if isinstance(node, ast.Attribute) and (before := dotted(node.value)):
    return f"{before}.{node.attr}"
  return ""


def imported(node: ast.AST) -> list[str]:
  if isinstance(node, ast.Import):
    return [alias.name for alias in node.names]
  if isinstance(node, ast.ImportFrom):
    return [f"{node.module}.{alias.name}" for alias in node.names]
  return []


def whole(node: ast.expr) -> bool:
  """Whether it is an integer, as far as reading tells."""
  if isinstance(node, ast.BinOp):
    return whole(node.left)
  if isinstance(node, ast.Constant):
    return isinstance(node.value, int)
  return isinstance(node, ast.Call) and dotted(node.func) == "int"


def doors(source: str, exact: bool = False) -> Iterator[str]:
  """What a file should not do; `exact` for files that read answers."""
  for node in ast.walk(ast.parse(source)):
    for name in imported(node):
      package, _, last = name.rpartition(".")
      if name.partition(".")[0] in IMPORTS or last in ("system", "popen"):
        yield f"{node.lineno}: import {name}"
      if f"{package.rpartition('.')[2]}.{last}" in CALLS:
        yield f"{node.lineno}: import {name}"
    if not isinstance(node, ast.Call):
      continue
    name = dotted(node.func)
    if name in CALLS:
      yield f"{node.lineno}: {name}"
    for word in node.keywords:
      no = isinstance(word.value, ast.Constant) and word.value.value is False
      if word.arg in SWITCHES and not no:
        yield f"{node.lineno}: {word.arg}"
    if exact and name.rpartition(".")[2] in EXACT:
      if not all(map(whole, node.args)):
        yield f"{node.lineno}: {name}"


@pytest.mark.parametrize("folder", ["rlvr_jax", "experiments", "configs"])
def test_no_file_runs_or_unpickles_what_others_wrote(folder):
  found = [
    f"{path.relative_to(ROOT)}:{door}"
    for path in FILES
    if path.is_relative_to(ROOT / folder)
    for door in doors(path.read_text(), "verify" in path.parts)
  ]
  assert not found


@pytest.mark.parametrize(
  "line",
  [
    "import pickle",
    "import cloudpickle as c",
    "from dill import loads",
    "import marshal, json",
    "from os import system",
    "eval(text)",
    "exec(code)",
    "np.load(path, allow_pickle=True)",
    "np.load(path, allow_pickle=given)",
    "AutoModel.from_pretrained(x, trust_remote_code=True)",
    "torch.load(x, weights_only=True)",
    "os.system('ls')",
    "subprocess.run(x, shell=True)",
    "yaml.load(x)",
    "sympy.sympify(x)",
    "from sympy import sympify",
    "Fraction(text)",
    "decimal.Decimal(text)",
  ],
)
def test_a_door_is_seen(line):
  assert [*doors(line, exact=True)]


@pytest.mark.parametrize(
  "line",
  [
    "np.load(path, allow_pickle=False)",
    "model.eval()",
    "Fraction(int(text), 10**3)",
    "re.compile(text)",
    "subprocess.run([x])",
  ],
)
def test_what_is_no_door_is_none(line):
  assert not [*doors(line, exact=True)]


def modules() -> Iterator[object]:
  for package in (verify, tasks):
    yield package
    for found in pkgutil.walk_packages(
      package.__path__, package.__name__ + "."
    ):
      # These need packages that may be missing, or arguments.
      if found.name.rpartition(".")[2] not in (
        "algebra",
        "gym_scorer",
        "function",
      ):
        yield importlib.import_module(found.name)


def compiled(value: object, depth: int = 3) -> Iterator[re.Pattern]:
  if isinstance(value, re.Pattern):
    yield value
  elif depth and isinstance(value, list | tuple | set | frozenset):
    for inner in value:
      yield from compiled(inner, depth - 1)
  elif depth and isinstance(value, dict):
    yield from compiled([*value.values()], depth)


def patterns() -> dict[str, re.Pattern]:
  """All regular expressions that meet what others wrote, by their text."""
  found = [
    pattern
    for module in modules()
    for pattern in compiled([*vars(module).values()])
  ]
  for folder in ("verify", "tasks"):
    for path in (ROOT / "rlvr_jax" / folder).rglob("*.py"):
      for node in ast.walk(ast.parse(path.read_text())):
        called = isinstance(node, ast.Call) and dotted(node.func)
        if called and called.startswith("re.") and called != "re.escape":
          if isinstance(node.args[0], ast.Constant):
            found.append(re.compile(node.args[0].value))
  return {pattern.pattern: pattern for pattern in found}


PATTERNS = patterns()
BAIT = 100_000


def characters(pattern: re.Pattern) -> list[str]:
  """What a text must be made of to keep a pattern busy."""
  named = {kinds.CATEGORY_DIGIT: "1", kinds.CATEGORY_SPACE: " "}
  found = {"a", "!"}
  for kind, value in tokens(parser.parse(pattern.pattern, pattern.flags)):
    if kind in (kinds.LITERAL, kinds.NOT_LITERAL):
      found.add(chr(value))
    elif kind is kinds.RANGE:
      found.add(chr(value[0]))
    elif kind is kinds.CATEGORY:
      found.add(named.get(value, "a"))
  return sorted(found)


def tokens(tree: object) -> Iterator[tuple]:
  """All (kind, value) of a parsed pattern, the outer before the inner."""
  if isinstance(tree, tuple) and tree and hasattr(tree[0], "name"):
    yield tree[0], tree[1]
    yield from tokens(tree[1])
  elif isinstance(tree, tuple | list | parser.SubPattern):
    for inner in tree:
      yield from tokens(inner)


def assert_linear(pattern: re.Pattern, part: str, end: str = "") -> None:
  # A tenth first: what is not linear would take hours for the whole.
  for size in (BAIT // 10, BAIT):
    began = time.process_time()
    text = part * (size // len(part)) + end
    pattern.sub("", text)
    pattern.fullmatch(text)
    took = time.process_time() - began
    assert took < 0.02 + 0.3 * size / BAIT, (pattern.pattern, part, size)


@pytest.mark.parametrize("text", PATTERNS)
def test_every_regular_expression_takes_linear_time(text):
  for part in characters(PATTERNS[text]):
    assert_linear(PATTERNS[text], part)
    assert_linear(PATTERNS[text], part, "\x00")


@pytest.mark.long
@pytest.mark.parametrize("text", PATTERNS)
def test_no_two_characters_in_turn_take_longer(text):
  for pair in itertools.permutations(characters(PATTERNS[text]), 2):
    assert_linear(PATTERNS[text], "".join(pair), "\x00")


def nested(pattern: re.Pattern) -> bool:
  """Whether something is repeated without end inside of such a repetition."""
  endless = lambda kind, value: (
    kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT) and value[1] is kinds.MAXREPEAT
  )
  tree = parser.parse(pattern.pattern, pattern.flags)
  return any(
    any(endless(*inner) for inner in tokens(value[2]))
    for kind, value in tokens(tree)
    if endless(kind, value)
  )


# A character that the inner repetition cannot take stands before it each time.
SEPARATED = {
  r"\A[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*\Z",
  r"\w+(?:[-'’.&]\w+)*",
}


def test_no_repetition_stands_inside_another_without_something_between():
  assert nested(re.compile("(a+)+$")) and nested(re.compile("(?:x*y)*"))
  assert not nested(re.compile("a+(?:,[0-9]{3})*"))
  found = {text for text, pattern in PATTERNS.items() if nested(pattern)}
  assert found == SEPARATED


def test_a_pattern_that_is_not_linear_is_found():
  with pytest.raises(AssertionError):
    assert_linear(re.compile(" +$"), " ", "\x00")
