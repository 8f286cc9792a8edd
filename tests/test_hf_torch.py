"""Against the torch models themselves, where torch is installed."""

import numpy as np
import pytest
import transformers

import hf_cases
from rlvr_jax.models import hf
from rlvr_jax.models.hf import small

torch = pytest.importorskip("torch", reason="pip install torch to run these")
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
  np.testing.assert_allclose(ours(np.array([ids])), want, atol=1e-4)
  ends = transformers.GenerationConfig.from_pretrained(folder).eos_token_id
  assert tokenizer.eos_token_id in ends


@pytest.mark.long
@pytest.mark.parametrize("name", small.SMALL)
def test_the_stored_logits_are_those_of_the_installed_transformers(name):
  stored = np.load(hf_cases.STORED)[f"{name}/whole"]
  model = torch_model(hf_cases.folder(name))
  rows = torch.tensor(hf_cases.tokens(model.config.vocab_size)).long()
  mask = torch.tensor(hf_cases.VALID).long()
  positions = (mask.cumsum(1) - 1).clamp(min=0)
  with torch.no_grad():
    found = model(
      input_ids=rows, attention_mask=mask, position_ids=positions
    ).logits.numpy()[..., hf_cases.KEPT]
  np.testing.assert_allclose(
    found[hf_cases.VALID], stored[hf_cases.VALID], atol=1e-4
  )
