"""Entropy production from a score: identities, optima and closed forms."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rlvr_jax.analysis import active_particles as ap
from rlvr_jax.analysis import entropy_production as ep

pytestmark = pytest.mark.usefixtures("quick_compile")

MODEL = ap.Model(speed=1.5, trap=1.2, decay=0.4, diffusivity=0.3)


@pytest.fixture(autouse=True)
def float64():
  with jax.enable_x64(True):
    yield


def points(covariance):
  """Points whose mean is 0 and whose second moments are exactly these."""
  size = len(covariance)
  axes = np.sqrt(size) * np.linalg.cholesky(covariance).T
  return np.concatenate([axes, -axes])


def steady(model):
  """f[4, 2, 1, 1] with the second moments of a particle alone."""
  return points(ap.covariance(model)).reshape(-1, 2, 1, 1)


def mean_of(function, z):
  """The mean of a function of one configuration over a batch."""
  return jax.tree.map(lambda x: x.mean(0), jax.jit(jax.vmap(function))(z))


def linear(matrix):
  """The score -P z, for z of any shape."""
  return lambda z: -(matrix @ z.reshape(-1)).reshape(z.shape)


def signs(size):
  return np.array(list(itertools.product([-1.0, 1.0], repeat=size)))


def curved(z):
  """A field with all derivatives; it couples all entries."""
  return jnp.sin(z * jnp.roll(z, 1)) + z.sum() ** 2 * z


def test_the_example_has_its_known_rate():
  assert ap.rate(MODEL) == pytest.approx(1.875)
  z = steady(MODEL)
  process, score = ap.process(MODEL), lambda z: ap.score(z, MODEL)
  rates = mean_of(lambda z: ep.rates(process, score, z), z)
  assert float(rates.total.sum()) == pytest.approx(1.875)
  assert float(rates.medium.sum()) == pytest.approx(1.875)
  assert float(rates.system.sum()) == pytest.approx(0, abs=1e-12)
  without = mean_of(lambda z: ep.dissipation(process, z), z)
  np.testing.assert_allclose(without, rates.medium, atol=1e-12)


def test_the_rate_grows_with_the_square_of_the_speed_and_falls_with_noise():
  def found(model):
    process, score = ap.process(model), lambda z: ap.score(z, model)
    total = mean_of(lambda z: ep.rates(process, score, z).total, steady(model))
    return float(total.sum())

  slow, fast = (found(MODEL._replace(speed=v)) for v in (0.7, 1.4))
  assert fast == pytest.approx(4 * slow)
  noisy = found(MODEL._replace(speed=1.4, diffusivity=0.6))
  assert noisy == pytest.approx(fast / 2)


def test_what_does_not_swim_has_no_flow_anywhere():
  model = MODEL._replace(speed=0.0)
  z = np.random.default_rng(0).normal(size=(2, 3, 2))
  process, score = ap.process(model), lambda z: ap.score(z, model)
  flow = jax.jit(lambda z: ep.velocity(process, score, z))(z)
  np.testing.assert_allclose(flow, 0, atol=1e-12)
  assert ap.rate(model) == 0


def test_at_the_score_the_flow_keeps_the_density_at_every_point():
  energy = lambda z: z[0] ** 4 / 4 + z[1] ** 2 / 2 + z[0] * z[1] / 3
  stream = lambda z: jnp.sin(z[0]) + z[1] ** 2
  score = lambda z: -jax.grad(energy)(z)

  def flow(z):  # exp(energy) times the curl of exp(-energy) stream
    slope = jax.grad(stream)(z) + stream(z) * score(z)
    return jnp.array([slope[1], -slope[0]])

  diffusion = jnp.array([0.5, 2.0])
  drift = lambda z: flow(z) + diffusion * score(z)
  process = ep.Process(drift, diffusion)
  z = np.random.default_rng(0).normal(size=(5, 2))
  velocity = lambda z: (ep.velocity(process, score, z), flow(z))
  np.testing.assert_allclose(*jax.jit(jax.vmap(velocity))(z))
  each = lambda score: lambda z: ep.terms(process, score, z)
  terms = lambda score: jax.jit(jax.vmap(each(score)))(z)
  right = terms(score)
  np.testing.assert_allclose(right.divergence + right.inner, 0, atol=1e-9)
  assert np.ptp(right.inner) > 1  # Neither is 0 by itself.
  wrong = terms(lambda z: 0.9 * score(z))
  assert np.abs(wrong.divergence + wrong.inner).min() > 1e-3


def test_the_total_is_what_system_and_medium_give_whatever_the_score():
  z = np.random.default_rng(0).normal(size=(2, 3, 2))
  rates = ep.rates(ap.process(MODEL), curved, z)
  np.testing.assert_allclose(rates.total, rates.system + rates.medium)
  assert (rates.total >= 0).all()


def test_particles_that_do_not_meet_add_up():
  process, score = ap.process(MODEL), lambda z: ap.score(z, MODEL)
  z = np.random.default_rng(0).normal(size=(2, 3, 2))
  rates = lambda z: ap.by_particle(ep.rates(process, score, z)).total
  alone = jax.vmap(lambda z: rates(z[:, None])[0], in_axes=1)
  np.testing.assert_allclose(*jax.jit(lambda z: (rates(z), alone(z)))(z))


def test_a_random_probe_gives_the_slopes_on_average():
  z = np.random.default_rng(0).normal(size=(2, 2, 1))
  jacobian = jax.jit(jax.jacobian(curved))(z).reshape(4, 4)
  exact = jax.jit(lambda z: ep.slopes(curved, z))(z)
  np.testing.assert_allclose(exact.ravel(), np.diag(jacobian))
  probes = signs(4).reshape(-1, *z.shape)
  estimate = jax.vmap(lambda probe: ep.slopes(curved, z, probe))
  estimated = jax.jit(estimate)(probes)
  np.testing.assert_allclose(estimated.mean(0), exact)
  assert np.ptp(estimated, axis=0).min() > 0.1


def test_score_matching_finds_the_inverse_covariance_of_its_samples():
  z = np.random.default_rng(0).normal(size=(50, 3))
  inverse = np.linalg.inv(z.T @ z / len(z))
  process = ep.Process(lambda z: 0 * z, jnp.ones(3))
  fit = lambda p: mean_of(lambda z: ep.terms(process, linear(p), z).fit, z)
  value, gradient = jax.value_and_grad(fit)(inverse)
  assert float(value) == pytest.approx(-np.trace(inverse))
  np.testing.assert_allclose(gradient, 0, atol=1e-9)
  assert fit(1.1 * inverse) > value and fit(0.9 * inverse) > value


def test_denoising_finds_the_score_of_the_blurred_density():
  covariance, scale = np.array([[2.0, 0.6], [0.6, 1.0]]), 0.3
  z, noise = points(covariance), points(np.eye(2))
  blurred = np.linalg.inv(covariance + scale**2 * np.eye(2))

  def loss(p):
    each = lambda z, noise: ep.denoising(linear(p), z, noise, scale)
    return jax.vmap(jax.vmap(each, (0, None)), (None, 0))(z, noise).mean()

  value, gradient = jax.value_and_grad(loss)(blurred)
  np.testing.assert_allclose(gradient, 0, atol=1e-9)
  assert float(value) == pytest.approx(-2 * np.trace(blurred))


def test_for_short_steps_the_dynamics_give_the_terms_of_score_matching():
  model = ap.Model(repulsion=2.0)
  process = ap.process(model)
  z = np.array([[[0.2], [1.1]], [[0.3], [-0.5]]])
  exact = jax.jit(lambda z: ep.terms(process, curved, z))(z)
  noises = signs(4).reshape(-1, *z.shape)

  def error(time):
    step = lambda z, noise: ap.step(z, noise, time, model)
    terms = lambda n: ep.dynamic_terms(process, curved, step, z, n, time)
    found = mean_of(terms, noises)
    return max(abs(a - b) for a, b in zip(found, exact))

  long, short = error(1e-4), error(1e-5)
  assert short < 1e-2
  assert long / short == pytest.approx(10, rel=0.1)


def test_a_part_of_the_loss_without_weight_is_not_computed():
  nan = jnp.full(2, jnp.nan)
  terms = ep.Terms(jnp.array([1.0, 3.0]), nan, nan)
  assert ep.loss(terms, 4, ep.Weights()) == 0.5
  terms = ep.Terms(nan, jnp.array([1.0, 3.0]), jnp.array([-1.0, 1.0]))
  loss = lambda *weights: float(ep.loss(terms, 2, ep.Weights(0.0, *weights)))
  assert loss(1.0, 0.0, 0.0) == 2.0
  assert loss(0.0, 1.0, 0.0) == 0.0
  assert loss(0.0, 0.0, 1.0) == 4.0


def test_the_integrator_tends_to_the_closed_covariance():
  step = lambda z, noise, time: ap.step(z, noise, time, MODEL)
  parts = jax.jit(jax.jacobian(step, (0, 1)))

  def error(time):
    zero = np.zeros((2, 1, 1))
    found = parts(zero, zero, time)
    kept, added = (np.asarray(part).reshape(2, 2) for part in found)
    # vec(S) = (1 - K x K)^-1 vec(L L') for S = K S K' + L L'.
    kron = np.eye(4) - np.kron(kept, kept)
    found = np.linalg.solve(kron, (added @ added.T).ravel()).reshape(2, 2)
    return found - ap.covariance(MODEL)

  coarse, fine = error(0.02), error(0.01)
  assert abs(coarse[1, 1]) < 1e-12  # g is exact
  assert np.abs(fine).max() < 0.02
  np.testing.assert_allclose(coarse[0] / fine[0], 2, rtol=0.05)


def test_particles_push_each_other_apart_with_equal_force():
  model = ap.Model(repulsion=1.0, radius=1.0, sharpness=50.0)
  force = lambda *x: ap.repulsion(jnp.array(x)[:, None], model)[:, 0]
  np.testing.assert_allclose(force(0.0, 1.5), [-0.5, 0.5], atol=1e-9)
  np.testing.assert_allclose(force(0.0, 3.0), 0, atol=1e-9)
  many = force(0.0, 0.4, 1.7, -0.9)
  assert float(many.sum()) == pytest.approx(0, abs=1e-12)
  assert float(force(0.3)[0]) == 0
  # Two that happen to be at one place feel the others only.
  np.testing.assert_allclose(force(0.3, 0.3, 2.0), [-0.3, -0.3, 0.6])


def test_the_box_repeats_itself():
  model = ap.Model(repulsion=1.0, half_width=5.0)
  x = np.random.default_rng(0).uniform(-5, 5, size=(4, 2))
  moved = x + 10 * np.array([[0, 1], [-1, 0], [2, 0], [0, 0]])
  want = ap.repulsion(x, model)
  np.testing.assert_allclose(ap.repulsion(moved, model), want, atol=1e-9)
  across = ap.repulsion(np.array([[-4.8], [4.8]]), model)
  np.testing.assert_allclose(across[:, 0], [1.6, -1.6], atol=1e-5)
  z = np.array([[[4.99]], [[30.0]]])
  after = ap.step(z, np.zeros_like(z), 0.01, model)
  assert -5 <= after[0, 0, 0] < -4
