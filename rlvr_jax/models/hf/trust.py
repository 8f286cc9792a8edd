"""What is asked of a folder that others made, before anything of it is used."""

import hashlib
import pathlib

_KINDS = (".json", ".jinja", ".model", ".safetensors", ".txt")
# Fields of a config.json that count something: no published model has more.
_MOST_LAYERS = 1 << 12
_MOST = (1 << 31) - 1


def check_links(folder: pathlib.Path) -> None:
  """Refuses links that lead out of a folder.

  A cache of the hub keeps its files in a folder `blobs` and links to them; only
  there may links lead.

  Raises:
    ValueError: a link leads elsewhere.
  """
  if not folder.is_dir():
    return
  real = folder.resolve()
  allowed = (real, *(above / "blobs" for above in real.parents[1:2]))
  for path in sorted(folder.iterdir()):
    if path.is_symlink():
      end = path.resolve()
      if not any(end.is_relative_to(place) for place in allowed):
        raise ValueError(
          f"{path} is a link to {end}, outside of the folder, which is never "
          "followed; put the file itself there."
        )


def check_sizes(path: pathlib.Path, values: dict) -> None:
  """Refuses a configuration that counts more than memory can hold.

  Reading it makes lists by its numbers, long before any weight is looked for.

  Raises:
    ValueError: a number is too large.
  """
  for name, value in values.items():
    if isinstance(value, dict):
      check_sizes(path, value)
    most = _MOST_LAYERS if name.endswith("layers") else _MOST
    if isinstance(value, int) and abs(value) > most:
      raise ValueError(
        f"{path}: {name} = {value} must lie in [-{most}, {most}]; the file is "
        "damaged or was not made for a model."
      )


def digest(folder: pathlib.Path) -> str:
  """The SHA-256 of a model, of what `sha256sum` prints of its files.

  The files are those of weights, configuration and tokenizer, by name.
  """
  lines = []
  for path in sorted(folder.iterdir()):
    if path.suffix in _KINDS:
      with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
      lines.append(f"{found}  {path.name}\n")
  return hashlib.sha256("".join(lines).encode()).hexdigest()


def check_digest(folder: pathlib.Path, sha256: str) -> None:
  """Raises unless a folder has this digest; "" asks nothing.

  Raises:
    ValueError: it has another.
  """
  if sha256 and (found := digest(folder)) != sha256.lower():
    raise ValueError(
      f"{folder} has the SHA-256 {found}, not {sha256}: it is another model, "
      "or was changed. Fetch it again, or give the digest of what you mean."
    )
