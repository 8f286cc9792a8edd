"""Writes tests/golden_hf/logits.npz with transformers' torch models.

python tests/make_hf_vectors.py   (needs torch; the weights come from seeds)
"""

import numpy as np
import torch
import transformers

import hf_cases
from rlvr_jax.models.hf import small


def logits(name: str) -> dict[str, np.ndarray]:
  """Logits of a whole pass, and of greedy decoding with a cache."""
  model = transformers.AutoModelForCausalLM.from_pretrained(
    hf_cases.folder(name), attn_implementation="eager"
  ).eval()
  rows = torch.tensor(hf_cases.tokens(model.config.vocab_size)).long()
  mask = torch.tensor(hf_cases.VALID).long()
  positions = (mask.cumsum(1) - 1).clamp(min=0)
  with torch.no_grad():
    whole = model(
      input_ids=rows, attention_mask=mask, position_ids=positions
    ).logits
    made = model.generate(
      input_ids=rows,
      attention_mask=mask,
      generation_config=transformers.GenerationConfig(
        do_sample=False,
        max_new_tokens=hf_cases.STEPS,
        return_dict_in_generate=True,
        output_logits=True,
        pad_token_id=0,
      ),
    )
  stepped = torch.stack(made.logits, dim=1)
  return {
    f"{name}/whole": whole.numpy()[..., hf_cases.KEPT],
    f"{name}/tokens": made.sequences[:, hf_cases.LENGTH :].numpy(),
    f"{name}/stepped": stepped.numpy()[..., hf_cases.KEPT],
  }


if __name__ == "__main__":
  found = {}
  for family in small.SMALL:
    found |= logits(family)
  hf_cases.STORED.parent.mkdir(exist_ok=True)
  np.savez_compressed(hf_cases.STORED, **found)
