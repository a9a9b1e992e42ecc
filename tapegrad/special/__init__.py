"""Special functions of one or two floats, as compiled code for the sweeps.

They return what NumPy or scipy.special does, infinities and NaN included, and raise nothing.
"""

from tapegrad.special.bessel import iv, ive
from tapegrad.special.elementary import (
    boxcox,
    cbrt,
    entr,
    exp2,
    exp10,
    expit,
    exponential_moment,
    huber,
    inv_boxcox,
    kl_div,
    log_expit,
    log_ratio,
    logaddexp,
    logaddexp2,
    logit,
    nearest_remainder,
    pseudo_huber,
    rel_entr,
    single,
    xlog1py,
    xlogy,
)
from tapegrad.special.error import erfcinv, erfinv, log_ndtr, ndtr, ndtri, scaled_erfc
from tapegrad.special.gamma import beta, betaln, digamma, digamma_rise, gamma, gammaln, polygamma
from tapegrad.special.powers import emit_powi, powi, products

__all__ = [
    "beta",
    "betaln",
    "boxcox",
    "cbrt",
    "digamma",
    "digamma_rise",
    "emit_powi",
    "entr",
    "erfcinv",
    "erfinv",
    "exp2",
    "exp10",
    "expit",
    "exponential_moment",
    "gamma",
    "gammaln",
    "huber",
    "inv_boxcox",
    "iv",
    "ive",
    "kl_div",
    "log_expit",
    "log_ndtr",
    "log_ratio",
    "logaddexp",
    "logaddexp2",
    "logit",
    "ndtr",
    "ndtri",
    "nearest_remainder",
    "polygamma",
    "powi",
    "products",
    "pseudo_huber",
    "rel_entr",
    "scaled_erfc",
    "single",
    "xlog1py",
    "xlogy",
]
