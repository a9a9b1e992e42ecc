"""Fit an equivalent circuit to the impedance of an electrode, in NumPy's complex numbers.

The circuit is Randles's: the electrolyte's resistance, in series with the charge transfer and a
diffusion layer of finite depth, and beside these two the double layer, a constant-phase element.
Its impedance is written as an electrochemist writes it, `1j * omega`, `** n`, `np.tanh` of a
complex root; all six parameters are real, and so are the residuals. SciPy's least squares takes the
exact Jacobian; standard errors are those of the exact Hessian, and bands of modulus and phase
follow from them by another Jacobian. The spectrum is made up: the circuit's own at known
parameters, with seeded noise of half a per cent, so that the estimates can be compared with what
they should be. Writes impedance.png beside this script if matplotlib is installed.
"""

import time
from pathlib import Path

import numpy as np
import scipy.optimize

import tapegrad as tg

NAMES = ("electrolyte, ohm", "charge transfer, ohm", "double layer, S s^n", "exponent n",
         "diffusion, ohm", "diffusion time, s")  # fmt: skip
TRUE = np.array([4.8, 27.0, 2.1e-4, 0.86, 41.0, 3.4])
START = np.array([1.0, 10.0, 1e-3, 0.7, 100.0, 1.0])
NOISE = 0.005
FREQUENCIES = np.logspace(5, -2, 71)


def impedance(parameters, frequencies):
    """Return the complex impedance of the circuit at some frequencies."""
    electrolyte, transfer, layer, exponent, diffusion, seconds = parameters
    omega = 2.0 * np.pi * frequencies
    root = np.sqrt(1j * omega * seconds)
    faradaic = transfer + diffusion * np.tanh(root) / root
    double_layer = 1.0 / (layer * (1j * omega) ** exponent)
    return electrolyte + 1.0 / (1.0 / faradaic + 1.0 / double_layer)


def parameters_of(logarithms):
    """Return parameters, all positive, from their logarithms."""
    return np.exp(logarithms)


def residuals(logarithms, frequencies, measured):
    """Return the deviations of both parts, in units of the noise."""
    deviation = (impedance(parameters_of(logarithms), frequencies) - measured[0]) / np.abs(
        measured[0]
    )
    return np.concatenate([np.real(deviation), np.imag(deviation)]) / NOISE


def misfit(logarithms, frequencies, measured):
    """Return the negative logarithm of the likelihood, up to a constant."""
    return 0.5 * np.sum(residuals(logarithms, frequencies, measured) ** 2)


def modulus_and_phase(logarithms, frequencies):
    """Return what a Bode plot shows: the logarithm of the modulus, and degrees."""
    z = impedance(parameters_of(logarithms), frequencies)
    return np.stack([np.log10(np.abs(z)), np.angle(z, deg=True)])


def measurement(rng):
    """Return a spectrum with noise in proportion to the modulus."""
    z = impedance(TRUE, FREQUENCIES)
    noise = rng.standard_normal(z.shape) + 1j * rng.standard_normal(z.shape)
    return z + NOISE * np.abs(z) * noise


def draw(measured, best, band, path):
    """Draw the spectrum and the fit by Nyquist and by Bode, and the residuals."""
    try:
        import matplotlib
    except ImportError:
        print("no picture: matplotlib is not installed")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, middle, right) = plt.subplots(1, 3, figsize=(13, 3.8), layout="constrained")
    fine = np.logspace(5, -2, 400)
    fitted = impedance(parameters_of(best), fine)
    left.plot(fitted.real, -fitted.imag, "C0", label="fit")
    left.plot(measured.real, -measured.imag, "k.", ms=4, label="measured")
    left.set(xlabel="real part, ohm", ylabel="- imaginary part, ohm")
    left.set_aspect("equal", adjustable="datalim")
    left.legend(loc="lower right")
    bands = [
        (value - 20 * error, value + 20 * error)
        for value, error in zip(modulus_and_phase(best, FREQUENCIES), band, strict=True)
    ]
    middle.fill_between(FREQUENCIES, *bands[0], color="C0", alpha=0.3)
    middle.semilogx(FREQUENCIES, np.log10(np.abs(measured)), "k.", ms=4)
    middle.set(xlabel="frequency, Hz", ylabel="log10 of the modulus")
    twin = middle.twinx()
    twin.fill_between(FREQUENCIES, *bands[1], color="C3", alpha=0.3)
    twin.semilogx(FREQUENCIES, np.angle(measured, deg=True), "C3.", ms=4)
    twin.set(ylabel="phase, degrees")
    middle.set(title="bands of 20 standard errors")
    left_over = residuals(best, FREQUENCIES, (measured,)).reshape(2, -1)
    for part, label in zip(left_over, ("real", "imaginary"), strict=True):
        right.semilogx(FREQUENCIES, part, ".", label=label)
    right.axhline(0.0, color="0.7")
    right.set(xlabel="frequency, Hz", title="residuals, in units of the noise")
    right.legend()
    figure.savefig(path, dpi=120)
    print(f"wrote {path.name}")


def main():
    measured = measurement(np.random.default_rng(1))
    began = time.perf_counter()
    data = FREQUENCIES, (measured,)
    result = scipy.optimize.least_squares(
        residuals, np.log(START), tg.jacobian(residuals), x_scale="jac", args=data
    )
    best = result.x
    covariance = np.linalg.inv(tg.hessian(misfit)(best, *data))
    errors = np.sqrt(np.diag(covariance))
    slopes = tg.jacobian(modulus_and_phase)(best, FREQUENCIES)
    band = np.sqrt(np.einsum("kfi,ij,kfj->kf", slopes, covariance, slopes))
    seconds = time.perf_counter() - began
    freedom = 2 * len(FREQUENCIES) - len(best)
    chi = 2.0 * result.cost / freedom
    print(f"chi squared {chi:.2f} a degree of freedom, {result.nfev} evaluations, errors and bands "
          f"in {seconds:.1f} s")  # fmt: skip
    for name, value, error, true in zip(NAMES, np.exp(best), errors, TRUE, strict=True):
        print(f"{name:>22}: {value:9.4g} ± {100 * error:.2f} %, in truth {true:.4g}")
    draw(measured, best, band, Path(__file__).with_suffix(".png"))
    np.testing.assert_allclose(tg.grad(misfit)(best, *data), 0.0, atol=1e-2)
    assert np.all(np.abs(best - np.log(TRUE)) < 3.0 * errors)
    assert np.all(errors < 0.05)
    assert abs(chi - 1.0) < 3.0 * np.sqrt(2.0 / freedom)
    by_jacobian = np.linalg.inv(result.jac.T @ result.jac)
    np.testing.assert_allclose(np.sqrt(np.diag(by_jacobian)), errors, rtol=0.1)


if __name__ == "__main__":
    main()
