"""Makes `rlax_losses.npz`: random inputs of losses, and what RLax, DeepMind's library in JAX, computes of them.

JAX does not resolve with the project's pins, so this runs in an environment of its own:

    python3.11 -m venv /tmp/rlax && /tmp/rlax/bin/pip install rlax==0.1.9 'jax[cpu]==0.10.2' numpy==2.4.6
    /tmp/rlax/bin/python tests/support/golden/make_rlax_losses.py

Inputs are float32, results float64. What a right loss never reads is poisoned: the predictions of actions that were not
taken, and the target network's values of actions that the selecting network does not choose. "legal" results are
RLax's with a selecting network that gives illegal actions its lowest values.
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import rlax

jax.config.update("jax_enable_x64", True)

B, A, ATOMS, N, N_TARGET, N_SELECT, T = 24, 4, 21, 7, 5, 6, 40
POISON = 1e4
LOWEST = -1e30
Arrays = dict[str, np.ndarray]


def f32(array: np.ndarray) -> np.ndarray:
    """As kept, so that both libraries start from the same numbers."""
    return np.asarray(array, np.float32)


def batch(rng: np.random.Generator) -> Arrays:
    legal = rng.random((B, A)) < 0.5
    legal[np.arange(B), rng.integers(A, size=B)] = True
    return {
        "action_tm1": rng.integers(A, size=B).astype(np.int32),
        "r_t": f32(rng.normal(scale=2, size=B)),
        "discount_t": f32(0.9 ** rng.integers(1, 4, size=B) * (rng.random(B) < 0.75)),
        "legal_t": legal,
    }


def poisoned_but(table: np.ndarray, action: np.ndarray) -> np.ndarray:
    """The table [B, A, …] with all rows poisoned but those of the action of each example."""
    poison = POISON * np.where(np.arange(table.size).reshape(table.shape) % 3 == 0, -1, 1)
    is_taken = (np.arange(A) == action[:, None]).reshape(B, A, *[1] * (table.ndim - 2))
    return f32(np.where(is_taken, table, poison))


def only_legal(q: np.ndarray, legal: np.ndarray) -> np.ndarray:
    return np.where(legal, q, LOWEST)


def each(function, *arrays: np.ndarray) -> np.ndarray:
    """The function of each example, in float64."""
    wide = [jnp.asarray(a, jnp.float64 if np.asarray(a).dtype.kind == "f" else jnp.int32) for a in arrays]
    return np.asarray(jax.vmap(function)(*wide))


def temporal_differences(rng: np.random.Generator, b: Arrays) -> Arrays:
    a, r, d, legal = b["action_tm1"], b["r_t"], b["discount_t"], b["legal_t"]
    q_tm1 = poisoned_but(rng.normal(size=(B, A)), a)
    q_t, q_select_t = f32(rng.normal(size=(2, B, A)))
    q_t_of_best = poisoned_but(q_t, q_select_t.argmax(axis=1))
    q_t_of_legal = poisoned_but(q_t, only_legal(q_select_t, legal).argmax(axis=1))
    error = each(rlax.q_learning, q_tm1, a, r, d, q_t)
    return {
        "q_tm1": q_tm1,
        "q_t": q_t,
        "q_select_t": q_select_t,
        "q_t_of_best": q_t_of_best,
        "q_t_of_legal": q_t_of_legal,
        "error": error,
        "legal_error": each(rlax.double_q_learning, q_tm1, a, r, d, q_t, only_legal(q_t, legal)),
        "double_error": each(rlax.double_q_learning, q_tm1, a, r, d, q_t_of_best, q_select_t),
        "legal_double_error": each(rlax.double_q_learning, q_tm1, a, r, d, q_t_of_legal, only_legal(q_select_t, legal)),
        "squared": each(rlax.l2_loss, error),
        "huber_1": each(lambda x: rlax.huber_loss(x, 1.0), error),
        "huber_half": each(lambda x: rlax.huber_loss(x, 0.5), error),
    }


def rescaling(rng: np.random.Generator, b: Arrays) -> Arrays:
    a, r, d = b["action_tm1"], b["r_t"], b["discount_t"]
    x = f32(np.concatenate([rng.normal(size=20) * 10.0 ** rng.integers(-6, 6, size=20), [0, 1, -1]]))
    h = f32(np.concatenate([rng.normal(size=20) * 10.0 ** rng.integers(-6, 3, size=20), [0, 1, -1]]))
    q_tm1 = poisoned_but(rng.normal(scale=3, size=(B, A)), a)
    q_t, q_select_t = f32(rng.normal(scale=3, size=(2, B, A)))

    def error(q_tm1, a, r, d, q_t, q_select_t):
        best = jnp.argmax(q_select_t)[None]
        one = (q_tm1[None], a[None], q_t[None], best, r[None], d[None])
        return rlax.transformed_n_step_q_learning(*one, n=1, tx_pair=rlax.SIGNED_HYPERBOLIC_PAIR)[0]

    return {
        "x": x,
        "h_of_x": each(rlax.signed_hyperbolic, x),
        "h": h,
        "x_of_h": each(rlax.signed_parabolic, h),
        "q_tm1": q_tm1,
        "q_t": q_t,
        "q_select_t": q_select_t,
        "error": each(error, q_tm1, a, r, d, q_t, q_t),
        "double_error": each(error, q_tm1, a, r, d, q_t, q_select_t),
    }


def returns(rng: np.random.Generator, _: Arrays) -> Arrays:
    """One sequence with terminations inside, which is cut off at its end."""
    discount = f32(np.where(rng.random(T) < 0.85, 0.9, 0.0))
    discount[-1] = 0.9
    r_t, v_t = f32(rng.normal(size=(2, T)))
    action_tm1 = rng.integers(A, size=T).astype(np.int32)
    q_tm1, q_t = f32(rng.normal(size=(2, T, A)))
    wide = [jnp.asarray(each, jnp.float64) for each in (r_t, discount, v_t)]
    of_q = (jnp.asarray(q_tm1, jnp.float64), action_tm1, *wide[:2], jnp.asarray(q_t, jnp.float64))
    return {
        "r_t": r_t,
        "discount_t": discount,
        "v_t": v_t,
        "action_tm1": action_tm1,
        "q_tm1": q_tm1,
        "q_t": q_t,
        **{f"n_step_{n}": np.asarray(rlax.n_step_bootstrapped_returns(*wide, n)) for n in (1, 3, 5)},
        **{f"lambda_{x:g}": np.asarray(rlax.lambda_returns(*wide, x)) for x in (0.0, 0.65, 1.0)},
        "q_lambda_error": np.asarray(rlax.q_lambda(*of_q, 0.65)),
    }


def categorical(rng: np.random.Generator, b: Arrays) -> Arrays:
    """Returns beyond both ends of the support among the targets."""
    a, r, d, legal = b["action_tm1"], b["r_t"], b["discount_t"], b["legal_t"]
    support = f32(np.linspace(-2.0, 3.0, ATOMS))
    wide = jnp.asarray(support, jnp.float64)
    logits_tm1 = poisoned_but(rng.normal(scale=2, size=(B, A, ATOMS)), a)
    logits_t, logits_select_t = f32(rng.normal(scale=2, size=(2, B, A, ATOMS)))

    def mean(logits):
        return np.asarray(jax.nn.softmax(jnp.asarray(logits, jnp.float64)) @ wide)

    def loss(tm1, a, r, d, t, selector):
        return rlax.categorical_double_q_learning(wide, tm1, a, r, d, wide, t, selector)

    def projection(r, d, logits):
        return rlax.categorical_l2_project(r + d * wide, jax.nn.softmax(logits), wide)

    q_t, q_select_t = mean(logits_t), mean(logits_select_t)
    of_best = poisoned_but(logits_t, q_select_t.argmax(axis=1))
    return {
        "support": support,
        "logits_tm1": logits_tm1,
        "logits_t": logits_t,
        "logits_select_t": logits_select_t,
        "logits_t_of_best": of_best,
        "q_t": q_t,
        "projection": each(projection, r, d, logits_t[:, 0]),
        "loss": each(loss, logits_tm1, a, r, d, logits_t, q_t),
        "legal_loss": each(loss, logits_tm1, a, r, d, logits_t, only_legal(q_t, legal)),
        "double_loss": each(loss, logits_tm1, a, r, d, of_best, q_select_t),
        "legal_double_loss": each(loss, logits_tm1, a, r, d, logits_t, only_legal(q_select_t, legal)),
    }


def quantiles(rng: np.random.Generator, b: Arrays) -> Arrays:
    """Quantiles at midpoints (QR-DQN), and at fractions drawn for each example (IQN: N, N' and K of them).

    IQN's loss is divided by kappa (Dabney et al. 2018b, equation 3), which RLax, like QR-DQN, does not do.
    """
    a, r, d, legal = b["action_tm1"], b["r_t"], b["discount_t"], b["legal_t"]
    midpoints = np.tile((np.arange(N) + 0.5) / N, (B, 1))
    theta_tm1 = poisoned_but(rng.normal(size=(B, A, N)), a)
    theta_t, theta_select_t = f32(rng.normal(size=(2, B, A, N)))
    tau_tm1 = f32(rng.random((B, N)))
    drawn_t, online_select_t = f32(rng.normal(size=(B, A, N_TARGET))), f32(rng.normal(size=(B, A, N_SELECT)))
    target_select_t = f32(rng.normal(size=(B, A, N_SELECT)))

    def loss(kappa, tau, selector, theta_t, legal_actions=None):
        q_select = np.asarray(selector, np.float64).mean(axis=-1)
        q_select = q_select if legal_actions is None else only_legal(q_select, legal_actions)

        def one(tm1, tau, a, r, d, q_select, t):
            return rlax.quantile_q_learning(tm1.T, tau, a, r, d, q_select[None], t.T, huber_param=kappa)

        return each(one, theta_tm1, tau, a, r, d, q_select, theta_t)

    of_best = poisoned_but(drawn_t, online_select_t.mean(axis=-1).argmax(axis=1))
    return {
        "theta_tm1": theta_tm1,
        "theta_t": theta_t,
        "theta_select_t": theta_select_t,
        "tau_tm1": tau_tm1,
        "drawn_t": drawn_t,
        "drawn_t_of_best": of_best,
        "online_select_t": online_select_t,
        "target_select_t": target_select_t,
        "qr_loss_1": loss(1.0, midpoints, theta_t, theta_t),
        "qr_loss_half": loss(0.5, midpoints, theta_t, theta_t),
        "qr_legal_loss_1": loss(1.0, midpoints, theta_t, theta_t, legal),
        "qr_double_loss_1": loss(1.0, midpoints, theta_select_t, theta_t),
        "qr_legal_double_loss_1": loss(1.0, midpoints, theta_select_t, theta_t, legal),
        "iqn_loss_1": loss(1.0, tau_tm1, target_select_t, drawn_t),
        "iqn_loss_half": loss(0.5, tau_tm1, target_select_t, drawn_t) / 0.5,
        "iqn_loss_3": loss(3.0, tau_tm1, target_select_t, drawn_t) / 3.0,
        "iqn_legal_loss_1": loss(1.0, tau_tm1, target_select_t, drawn_t, legal),
        "iqn_double_loss_1": loss(1.0, tau_tm1, online_select_t, of_best),
    }


def main() -> None:
    rng = np.random.default_rng(13)
    kept = {"batch": batch(rng)}
    for make in (temporal_differences, rescaling, returns, categorical, quantiles):
        kept[make.__name__] = make(rng, kept["batch"])
    arrays = {f"{case}/{name}": array for case, of_case in kept.items() for name, array in of_case.items()}
    assert all(np.isfinite(array).all() for array in arrays.values())
    path = Path(__file__).with_name("rlax_losses.npz")
    np.savez_compressed(path, **arrays)
    print(f"{path}: {len(arrays)} arrays, {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
