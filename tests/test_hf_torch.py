"""Against the torch models themselves, where torch is installed."""

import numpy as np
import pytest
import transformers

import hf_cases
from rlvr_jax.models import hf
from rlvr_jax.models.hf import small

torch = pytest.importorskip("torch", reason="pip install torch to run these")
make_hf_vectors = pytest.importorskip("make_hf_vectors")
pytestmark = pytest.mark.usefixtures("quick_compile")

CONVERSATION = [
  {"role": "user", "content": "What is 2 + 3? Schön & kurz, bitte."},
  {"role": "assistant", "content": "5"},
  {"role": "user", "content": "And 4 + 4?"},
]


def torch_model(folder):
  model = transformers.AutoModelForCausalLM.from_pretrained(
    folder, attn_implementation="eager"
  )
  return model.eval()


@pytest.mark.parametrize("name", small.SMALL)
def test_an_exported_folder_opens_as_it_is_and_talks_the_same(name, tmp_path):
  source, folder = hf_cases.folder(name), tmp_path / "exported"
  ours = hf.load(source)
  hf.export(ours, folder)
  theirs = torch_model(folder)
  tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
  ids = tokenizer.apply_chat_template(
    CONVERSATION, add_generation_prompt=True, return_dict=False
  )
  with torch.no_grad():
    want = theirs(input_ids=torch.tensor([ids])).logits.numpy()
  got = ours(np.array([ids]))
  np.testing.assert_allclose(got, want, rtol=0, atol=1e-4)
  assert theirs.config.architectures == [type(theirs).__name__]
  ends = transformers.GenerationConfig.from_pretrained(folder).eos_token_id
  assert tokenizer.eos_token_id in ends


@pytest.mark.parametrize("name", small.SMALL)
def test_logits_of_long_rows_are_those_of_transformers(name):
  folder = hf_cases.folder(name)
  ids = np.random.default_rng(0).integers(0, 320, (1, 256))
  with torch.no_grad():
    want = torch_model(folder)(input_ids=torch.tensor(ids)).logits.numpy()
  np.testing.assert_allclose(hf.load(folder)(ids), want, rtol=0, atol=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", small.SMALL)
def test_the_stored_logits_are_those_of_the_installed_transformers(name):
  stored, found = np.load(hf_cases.STORED), make_hf_vectors.logits(name)
  for key in (f"{name}/whole", f"{name}/stepped"):
    kept = hf_cases.VALID if key.endswith("whole") else ...
    np.testing.assert_allclose(found[key][kept], stored[key][kept], atol=1e-4)
  np.testing.assert_array_equal(
    found[f"{name}/tokens"], stored[f"{name}/tokens"]
  )
