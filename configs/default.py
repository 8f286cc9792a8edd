"""Every field of a run with its unit and range; the other configs start here.

Command:  python -m experiments.train --config=configs/default.py --workdir=DIR
Hardware: 2 CPU cores
Time:     3 minutes
Expect:   GRPO on `split`: pass@1 on unseen problems rises from 0.74 to more
          than 0.9, entropy falls from 0.95 nats to 0.01.
"""

from ml_collections import ConfigDict

from configs import common
from rlvr_jax import methods

# What differs from a task's own defaults.
TASK_OPTIONS = {
  "split": dict(largest=199),
  # Those that have to be set, and those that often are; see docs/data.md.
  "files": dict(
    train=(),  # datasets: ("a.parquet", "b.jsonl")
    evaluation=(),
    train_weights=(),  # one to each of train; () mixes all rows evenly
    # Where rows have what; of "a|b" the first that is there.
    columns=dict(prompt="prompt", answer="reward_model.ground_truth"),
    system="",  # message before every prompt
    instruction="",  # after every prompt
    template="chat",  # chat | plain
    max_prompt=0,  # tokens; longer prompts are dropped, 0 drops none
    ngram=13,  # words of a run shared with the evaluation, see docs/data.md
    style="math",  # how responses are graded, see docs/data.md
    # refused | isolated | allow_network: style "code" runs what a model writes
    programs="refused",
    clusters="exact",  # exact | math: which answers are one to a method
    unparsable="error",  # error | drop: reference answers nobody can read
  ),
}


def get_config(arg: str | None = None) -> ConfigDict:
  """The configuration of a run; `arg` is e.g. "task=sum"."""
  task = common.parse_arg(arg, task="split")["task"]
  c = ConfigDict()
  c.label = ""  # name of the run in reports; the method if empty
  c.seed = 0  # decides everything random
  c.steps = 200  # RL steps
  c.progress = True  # show a progress bar
  # True: while a rollout is graded and learnt from, the next one is sampled,
  # one step off-policy; rollout_correction must be in the chain.
  c.async_rollout = False
  # Methods from left to right; the hyper-parameters of one stand in a
  # sub-dict of its name: c.clip_cov.fraction = 2e-4. All methods have one,
  # those outside the chain must be left as they are.
  c.chain = ("grpo",)
  for name in methods.CATALOGUE:
    c[name] = common.hyper_parameters(name)

  c.task = dict(
    name=task,  # split | sum | files | gym:<dataset>
    data_dir="",  # where TFDS keeps datasets; "" is its own default
    # Rows of the training problems that RL uses, in this order, repeated as
    # often as a step asks; () is all. The warm start uses all in any case.
    subset=(),
    # False: nobody reads the reference answers of the training problems, and
    # methods of the chain make the rewards.
    labelled=True,
    options=dict(TASK_OPTIONS.get(task, {})),  # arguments of the task
  )
  c.model = dict(
    # A folder in the Hugging Face format: model, tokenizer and chat template.
    # "" is a decoder of the sizes below, which are not read otherwise.
    folder="",
    # Of the folder, as `rlvr_jax.models.hf.digest` gives it; "" for any.
    sha256="",
    width=64,
    layers=4,
    heads=4,
    kv_heads=2,  # divides heads
    head_dim=16,  # even
    hidden=192,  # of the feed-forward layer
    rope_theta=10_000.0,
    norm_epsilon=1e-6,
    qk_norm=False,
    tied=True,  # output matrix = embedding
    dtype="float32",  # compute: float32 | bfloat16
    # Of the weights; with bfloat16 the optimizer keeps float32 copies.
    param_dtype="float32",
    # What the backward pass computes again: none | selective | full. "full":
    # layers, for less memory, and on CPU, where memory is slow, also less time;
    # "selective": of these all but matrix products.
    remat="full",
    # Low-rank adapters are trained in place of the weights if rank > 0.
    lora=dict(
      rank=0,
      alpha=32.0,  # a matrix acts as W + (alpha / rank) A B
      targets=("query", "key", "value", "output", "gate", "up", "down"),
    ),
  )
  c.warm_start = dict(
    steps=2000,  # supervised steps; 0 starts RL from random weights
    batch=256,  # demonstrations a step
    learning_rate=4e-3,  # up in the first tenth, to 0 in the last three
    weight_decay=0.1,  # arithmetic is learnt, not memorised
    # Share of demonstrations that end in a random token: a sloppy teacher
    # leaves RL mistakes to mend on seen and unseen problems alike.
    typos=0.3,
    folder="",  # share one between runs; "" is WORKDIR/warm_start
  )
  c.rollout = dict(
    prompts=64,  # a step
    per_prompt=8,  # responses, the group of GRPO
    rows=0,  # responses at once; 0 for all. Changes memory, not results
    temperature=1.0,
    score_temperature=1.0,  # at which policy log-probs are defined
    top_k=0,  # 0 keeps all
    top_p=1.0,
    min_p=0.0,
    max_prompt=0,  # tokens; 0 is the longest of the task
    max_response=0,  # tokens, end included; 0 is the longest of the task
    old_logp="sampler",  # or "score": one more forward pass (bfloat16)
    # The sampler's log-probs are compared with a full pass in the first step
    # and every so many; 0: never.
    mismatch_every=50,
    # Responses with log-probs or statistics that are not finite are left out;
    # a larger share of them stops the run.
    max_bad_fraction=0.1,
    # Prompts are drawn until so many of them, `prompts`, have responses that
    # differ in the metric; see docs/how_it_works.md.
    dynamic=dict(
      metric="off",  # off | correct | reward
      factor=1.0,  # times `prompts`, rounded up, are asked for at a time
      max_batches=10,  # in a step; more stop the run. 0: no bound
    ),
  )
  c.loss = dict(
    clip_low=0.2,  # ratio >= 1 - clip_low
    clip_high=0.2,  # ratio <= 1 + clip_high
    # token-mean | seq-mean-token-sum | seq-mean-token-mean |
    # seq-mean-token-sum-norm
    aggregation="token-mean",
    scale=0.0,  # tokens, divisor of the last mode; 0 is max_response
  )
  c.train = dict(
    updates=4,  # optimizer steps (minibatches) per rollout
    slices=1,  # row slices the model runs in; changes memory, not results
    # Of slices of rows of about one length, which run at the least of so many
    # widths; with 1 all have that of the longest response there may be. More
    # than 1 takes several slices, and longer to compile; changes no result.
    widths=1,
    chunk=4096,  # tokens swept at once, see docs/kernel.md; likewise
    # True: a prompt is read once for all responses to it that stand side by
    # side in a slice, not once for each. Takes twice as long to compile.
    share_prompts=False,
    ema_decay=0.0,  # of the slow copy that some methods ask for
    # Optimizer steps from one move of the slow copy to the next: it keeps the
    # share ema_decay of itself and takes the rest from the policy.
    ema_every=1,
  )
  c.optimizer = dict(  # AdamW
    learning_rate=1.5e-3,
    warmup=0,  # RL steps up to the learning rate
    decay=200,  # RL steps after them, down to 0; 0 keeps the rate
    b1=0.9,
    b2=0.95,
    epsilon=1e-8,
    weight_decay=0.1,
    max_gradient_norm=1.0,
  )
  c.guard = dict(
    window=128,  # gradient norms remembered
    # A norm so many standard deviations above their mean, ten times as large
    # and, if gradients are clipped, above optimizer.max_gradient_norm is
    # refused.
    sigmas=6.0,
    max_consecutive=5,  # refused updates in a row that stop the run
  )
  c.evaluation = dict(
    every=20,  # steps; also after the first and the last one
    samples=16,  # per problem
    ks=(1, 2, 4, 8, 16),  # of pass@k
    temperature=1.0,
    top_p=1.0,
    rows=0,  # responses at once; 0 for all. Changes memory, not results
  )
  c.checkpoint = dict(
    every=20,  # steps
    keep=2,
    # True: a run in --workdir may go on with another chain, and with other
    # responses to a prompt. Weights, optimizer and data order go on; what its
    # methods remember begins anew.
    new_chain=False,
  )
  # Devices; -1 takes the rest.
  c.mesh = dict(data=-1, fsdp=1, sequence=1, tensor=1)
  return c
