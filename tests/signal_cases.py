"""Calls of every function of signals and images that has a rule, as functions of 24 numbers.

Each case says whether it's linear or quadratic in them, so that differences are exact, or neither.
"""

from __future__ import annotations

import numpy as np
import scipy.fft as sf
import scipy.ndimage as nd
import scipy.signal as ss

B, A = ss.butter(3, 0.3)
SOS = ss.butter(4, 0.3, output="sos")
TAPS = np.array([0.4, -1.1, 0.7])
IMAGE = np.sin(np.arange(24.0)).reshape(4, 6)
WINDOW = np.hanning(10) + 0.1
MODES = ("reflect", "grid-mirror", "mirror", "nearest", "wrap", "grid-wrap", "constant",
         "grid-constant")  # fmt: skip


def both(z):
    """The parts of complex numbers, one after the other."""
    return np.concatenate([np.ravel(z.real), np.ravel(z.imag)])


def joined(*arrays):
    """All numbers of some arrays."""
    return np.concatenate([np.ravel(x) for x in arrays])


def image(p):
    return np.reshape(p, (4, 6))


def sections(p):
    """Sections made of ten numbers, with ones where they have to be."""
    q = np.reshape(p[:10], (2, 5)) * 0.1
    return np.concatenate([SOS[:, :3] + q[:, :3], np.ones((2, 1)), SOS[:, 4:] + q[:, 3:]], axis=1)


def complex_image(p):
    return np.reshape(p[:12], (3, 4)) + 1j * np.reshape(p[12:], (3, 4))


LINEAR, QUADRATIC, CURVED = {}, {}, {}
"""Lists of cases by the functions' full names."""

LINEAR["scipy.signal.lfilter"] = [
    lambda p: ss.lfilter(B, A, p),
    lambda p: ss.lfilter(B, 1.7 * A, image(p), axis=0),
    lambda p: ss.lfilter(p[:5], A, IMAGE),
    lambda p: ss.lfilter(TAPS, [2.0], image(p)),
    lambda p: joined(*ss.lfilter(B, A, image(p[:24]), zi=np.reshape(p[:12], (4, 3)))),
    lambda p: joined(*ss.lfilter(TAPS, 0.5, image(p), 0, np.reshape(p[:12], (2, 6)))),
    lambda p: joined(*ss.lfilter([0.5], A, p[:2], zi=p[4:7])),
    lambda p: joined(*ss.lfilter(p[:6], A, TAPS, zi=p[5:10])),
]
CURVED["scipy.signal.lfilter"] = [
    lambda p: ss.lfilter(p[:3], 0.2 * p[3:6] + [1.0, 0.0, 0.0], image(p), axis=1),
    lambda p: ss.lfilter(B, A + 0.1 * p[:4], IMAGE),
    lambda p: ss.lfilter(p, 2.0 + p[:1], TAPS),
    lambda p: joined(*ss.lfilter(p[:2], [1.0, *(0.1 * p[2:6])], p[6:9], zi=p[9:13])),
]
LINEAR["scipy.signal.sosfilt"] = [
    lambda p: ss.sosfilt(SOS, p),
    lambda p: ss.sosfilt(SOS, image(p), axis=0),
    lambda p: joined(*ss.sosfilt(SOS, image(p), zi=np.reshape(p[:16], (2, 4, 2)))),
    lambda p: joined(*ss.sosfilt(SOS, IMAGE, 0, zi=np.reshape(p, (2, 2, 6)))),
]
CURVED["scipy.signal.sosfilt"] = [
    lambda p: ss.sosfilt(sections(p), image(p)),
    lambda p: joined(*ss.sosfilt(sections(p), p, zi=np.reshape(p[:4], (2, 2)))),
]
LINEAR["scipy.signal.filtfilt"] = [
    lambda p: ss.filtfilt(B, A, p),
    lambda p: ss.filtfilt(B, A, image(p), axis=0, padlen=2),
    lambda p: ss.filtfilt(B, A, image(p), padtype="even", padlen=4),
    lambda p: ss.filtfilt(B, A, p, padtype="constant"),
    lambda p: ss.filtfilt(B, A, p, padtype=None),
    lambda p: ss.filtfilt(TAPS, 1.0, p, method="pad"),
]
CURVED["scipy.signal.filtfilt"] = [
    lambda p: ss.filtfilt(B + 0.1 * p[:4], A, IMAGE, padlen=3),
    lambda p: ss.filtfilt(B, A + 0.02 * p[:4], image(p), padlen=3),
]
LINEAR["scipy.signal.sosfiltfilt"] = [
    lambda p: ss.sosfiltfilt(SOS, p),
    lambda p: ss.sosfiltfilt(SOS, image(p), 0, "even", 2),
    lambda p: ss.sosfiltfilt(SOS, p, padtype=None),
]
CURVED["scipy.signal.sosfiltfilt"] = [
    lambda p: ss.sosfiltfilt(sections(0.1 * p), p, padtype="constant", padlen=5)
]
LINEAR["scipy.signal.lfilter_zi"] = [lambda p: ss.lfilter_zi(p[:5], A)]
CURVED["scipy.signal.lfilter_zi"] = [lambda p: ss.lfilter_zi(B, A + 0.02 * p[:4])]
CURVED["scipy.signal.sosfilt_zi"] = [lambda p: ss.sosfilt_zi(sections(0.1 * p))]
LINEAR["scipy.signal.decimate"] = [
    lambda p: ss.decimate(np.concatenate([p, p[::-1]]), 3),
    lambda p: ss.decimate(image(p), 2, n=2, axis=0, zero_phase=False),
]

for _name in ("convolve", "correlate"):
    _function = getattr(ss, _name)
    QUADRATIC[f"scipy.signal.{_name}"] = [
        lambda p, f=_function, m=mode, n=n, how=how: f(p[:n], p[n:], m, how)
        for mode in ("full", "same", "valid") for n in (7, 16) for how in ("direct", "fft")
    ] + [
        lambda p, f=_function, m=mode: f(
            np.reshape(p[:6], (1, 3, 2)), np.reshape(p[12:], (2, 3, 2)), m
        )
        for mode in ("full", "same", "valid")
    ]  # fmt: skip
for _name in ("fftconvolve", "oaconvolve"):
    _function = getattr(ss, _name)
    QUADRATIC[f"scipy.signal.{_name}"] = [
        lambda p, f=_function, m=mode: f(p[:16], p[16:], m) for mode in ("full", "same", "valid")
    ] + [
        lambda p, f=_function: f(image(p), np.reshape(p[:12], (4, 3)), axes=1),
        lambda p, f=_function: f(image(p), np.reshape(p[:3], (1, 3)), "same", axes=[-1]),
        lambda p, f=_function: f(np.reshape(p[:6], (1, 6)), image(p), "valid", axes=(1,)),
    ]

for _name in ("convolve2d", "correlate2d"):
    _function = getattr(ss, _name)
    QUADRATIC[f"scipy.signal.{_name}"] = [
        lambda p, f=_function, m=mode, n=n: f(
            np.reshape(p[:n], (-1, 2)), np.reshape(p[n:], (-1, 2)), m
        )
        for mode in ("full", "same", "valid") for n in (10, 16)
    ]  # fmt: skip

LINEAR["scipy.signal.detrend"] = [
    lambda p: ss.detrend(p), lambda p: ss.detrend(image(p), 0, "constant"),
    lambda p: ss.detrend(p, bp=[5, 17], overwrite_data=True),
    lambda p: ss.detrend(image(p), bp=3),
]  # fmt: skip
LINEAR["scipy.signal.hilbert"] = [
    lambda p, n=n: both(ss.hilbert(p, n)) for n in (None, 1, 2, 7, 8, 30)
] + [lambda p: both(ss.hilbert(image(p), axis=0))]
QUADRATIC["scipy.signal.welch"] = [
    lambda p: ss.welch(p, nperseg=8)[1],
    lambda p: ss.welch(p, 2.0, nperseg=9, noverlap=2, nfft=11, scaling="spectrum")[1],
    lambda p: ss.welch(p, window="boxcar", nperseg=24, detrend="linear")[1],
    lambda p: ss.welch(p, window=("kaiser", 4.0), nperseg=8, return_onesided=False)[1],
    lambda p: ss.welch(image(p), window=WINDOW[:3], detrend=False, axis=0)[1],
]
CURVED["scipy.signal.welch"] = [
    lambda p: ss.welch(p, nperseg=8, average="median")[1],
    lambda p: ss.welch(IMAGE, window=2.0 + p[:5])[1],
]
QUADRATIC["scipy.signal.csd"] = [
    lambda p: both(ss.csd(p, p[::-1], nperseg=8)[1]),
    lambda p: both(ss.csd(image(p), IMAGE, 2.0, "boxcar", nperseg=3, nfft=4, axis=0)[1]),
]
CURVED["scipy.signal.csd"] = [lambda p: both(ss.csd(p, p**2, nperseg=6, average="median")[1])]
CURVED["scipy.signal.coherence"] = [
    lambda p: ss.coherence(p, p[::-1] + IMAGE.ravel(), nperseg=6)[1][1:],
    lambda p: ss.coherence(p, IMAGE.ravel(), nperseg=6, detrend=False)[1],
]
CURVED["scipy.signal.freqz"] = [
    lambda p: both(ss.freqz(B + 0.1 * p[:4], A + 0.1 * p[4:8], 8)[1]),
    lambda p: both(ss.freqz(p, 2.0, [0.1, 0.5, 1.0], fs=3.0)[1]),
    lambda p: both(ss.freqz(p[:5], 2.0 + p[:1], 6, whole=True)[1]),
    lambda p: both(ss.freqz(TAPS, A + 0.1 * p[:4], 5, include_nyquist=True)[1]),
]
CURVED["scipy.signal.sosfreqz"] = CURVED["scipy.signal.freqz_sos"] = [
    lambda p: both(ss.sosfreqz(sections(p), 7)[1]),
    lambda p: both(ss.sosfreqz(sections(p), [0.3, 1.0], fs=4.0)[1]),
]
QUADRATIC["scipy.signal.periodogram"] = [
    lambda p: ss.periodogram(p)[1],
    lambda p: ss.periodogram(p, 3.0, "hann", 31, False)[1],
    lambda p: ss.periodogram(p, nfft=9, return_onesided=False, scaling="spectrum")[1],
    lambda p: ss.periodogram(image(p), window=WINDOW[:4], detrend="linear", axis=0)[1],
    lambda p: ss.periodogram(p, window=None)[1],
]
LINEAR["scipy.signal.savgol_filter"] = [
    lambda p, m=mode: ss.savgol_filter(image(p), 5, 2, 1, 0.5, -1, m, 0.3)
    for mode in ("interp", "mirror", "constant", "nearest", "wrap")
] + [lambda p: ss.savgol_filter(p, 6, 3), lambda p: ss.savgol_filter(image(p), 3, 1, axis=0)]

for _name in ("correlate1d", "convolve1d"):
    _function = getattr(nd, _name)
    QUADRATIC[f"scipy.ndimage.{_name}"] = [
        lambda p, f=_function, m=mode, c=size: f(
            image(p), p[:c], 0, mode=m, cval=0.7, origin=-(c // 2)
        )
        for mode in MODES for size in (1, 3, 4, 9)
    ] + [lambda p, f=_function: f(image(p), TAPS, 1, origin=1)]  # fmt: skip
for _name in ("correlate", "convolve"):
    _function = getattr(nd, _name)
    QUADRATIC[f"scipy.ndimage.{_name}"] = [
        lambda p, f=_function, m=mode: f(
            np.reshape(p[:12], (2, 3, 2)), np.reshape(p[12:], (3, 2, 2)), mode=m, cval=1.5,
            origin=(1, -1, 0),
        )
        for mode in MODES
    ] + [lambda p, f=_function: f(p, p[:5], origin=-2)]  # fmt: skip
LINEAR["scipy.ndimage.correlate"] = [lambda p: nd.correlate(image(p), np.ones((7, 9)))]
LINEAR["scipy.ndimage.uniform_filter1d"] = [
    lambda p, m=mode, n=size: nd.uniform_filter1d(image(p), n, 0, mode=m, cval=0.4, origin=n // 3)
    for mode in MODES for size in (1, 2, 5, 9)
]  # fmt: skip
LINEAR["scipy.ndimage.uniform_filter"] = [
    lambda p: nd.uniform_filter(image(p)),
    lambda p: nd.uniform_filter(image(p), (1, 4), mode=("wrap", "mirror"), origin=(0, 1)),
]
LINEAR["scipy.ndimage.gaussian_filter1d"] = [
    lambda p, m=mode, k=k: nd.gaussian_filter1d(image(p), 1.3, 0, k % 3, mode=m, cval=0.2)
    for k, mode in enumerate(MODES)
] + [lambda p: nd.gaussian_filter1d(p, 2.0, radius=3)]
LINEAR["scipy.ndimage.gaussian_filter"] = [
    lambda p: nd.gaussian_filter(image(p), 1.0),
    lambda p: nd.gaussian_filter(image(p), (0.8, 0.0), order=(1, 0), mode="constant", cval=2.0),
    lambda p: nd.gaussian_filter(image(p), [1.5, 0.7], order=3, mode=["wrap", "nearest"],
                                 truncate=2.5),
]  # fmt: skip
CURVED["scipy.ndimage.gaussian_filter1d"] = [
    lambda p: nd.gaussian_filter1d(image(p), 1.05 + 0.01 * p[0], order=2)
]
CURVED["scipy.ndimage.gaussian_filter"] = [
    lambda p: nd.gaussian_filter(image(p), 1.05 + 0.01 * p[:2], mode="mirror")
]
LINEAR["scipy.ndimage.sobel"] = [lambda p: nd.sobel(image(p)), lambda p: nd.sobel(p, mode="wrap")]
LINEAR["scipy.ndimage.prewitt"] = [lambda p: nd.prewitt(image(p), 0, mode="constant", cval=1.0)]
LINEAR["scipy.ndimage.laplace"] = [
    lambda p: nd.laplace(image(p)),
    lambda p: nd.laplace(image(p), mode=["wrap", "constant"], cval=0.5),
]
LINEAR["scipy.ndimage.gaussian_laplace"] = [
    lambda p: nd.gaussian_laplace(image(p), (0.8, 1.1), mode="mirror"),
    lambda p: nd.gaussian_laplace(p, 1.0),
]
CURVED["scipy.ndimage.gaussian_gradient_magnitude"] = [
    lambda p: nd.gaussian_gradient_magnitude(image(p), 1.0, mode="nearest")
]
LINEAR["scipy.ndimage.spline_filter"] = [
    lambda p, m=mode, n=order: nd.spline_filter(image(p), n, mode=m)
    for mode in MODES for order in (2, 3, 4, 5)
]  # fmt: skip
LINEAR["scipy.ndimage.spline_filter1d"] = [
    lambda p, n=order: nd.spline_filter1d(image(p), n, 0, mode="reflect") for order in range(6)
]
PLACES = np.array([[0.3, 2.8, 1.0, 1.6, -0.7, 4.4], [1.0, 4.9, 5.0, -3.2, 7.7, 2.1]])
LINEAR["scipy.ndimage.map_coordinates"] = [
    lambda p, m=mode, n=order: nd.map_coordinates(image(p), PLACES, order=n, mode=m, cval=0.6)
    for mode in MODES for order in range(6)
] + [lambda p: nd.map_coordinates(image(p), PLACES, prefilter=False)]  # fmt: skip
CURVED["scipy.ndimage.map_coordinates"] = [
    lambda p, m=mode, n=order: nd.map_coordinates(
        image(p), PLACES + 0.13 + 0.02 * np.reshape(p[:12], (2, 6)), order=n, mode=m, cval=0.6
    )
    for mode in MODES for order in range(6)
]  # fmt: skip

TURN = np.array([[0.9, 0.2], [-0.3, 1.1]])
LINEAR["scipy.ndimage.shift"] = [
    lambda p, m=mode: nd.shift(image(p), (0.3, -1.2), mode=m, cval=0.6) for mode in MODES
] + [lambda p: nd.shift(image(p), 1.0, order=1), lambda p: nd.shift(p, 0.4, prefilter=False)]
LINEAR["scipy.ndimage.affine_transform"] = [
    lambda p, m=mode: nd.affine_transform(image(p), TURN, 0.2, mode=m, cval=0.6) for mode in MODES
] + [lambda p: nd.affine_transform(image(p), np.eye(2), (0, 1), (3, 5), order=1)]
LINEAR["scipy.ndimage.rotate"] = [
    lambda p: nd.rotate(image(p), 25.0),
    lambda p: nd.rotate(image(p), -40.0, reshape=False, order=1, mode="nearest"),
    lambda p: nd.rotate(np.reshape(p, (2, 3, 4)), 90.0, axes=(0, 2)),
]
CURVED["scipy.ndimage.shift"] = [
    lambda p, m=mode: nd.shift(image(p), 0.31 + 0.01 * p[:2], mode=m) for mode in MODES
] + [lambda p: nd.shift(p, 0.31 + 0.01 * p[3], order=2)]
CURVED["scipy.ndimage.affine_transform"] = [
    lambda p: nd.affine_transform(image(p), TURN + 0.01 * np.reshape(p[:4], (2, 2)), 0.01 * p[5]),
    lambda p: nd.affine_transform(
        IMAGE, np.concatenate([TURN, np.reshape(0.3 + 0.01 * p[:2], (2, 1))], axis=1), order=2,
        mode="mirror",
    ),
]  # fmt: skip

for _name in ("fft", "ifft", "rfft", "irfft", "hfft", "ihfft"):
    _of_real, _one, _two, _n = (
        _name in ("rfft", "ihfft"),
        *(getattr(sf, f"{_name}{kind}") for kind in ("", "2", "n")),
    )
    LINEAR[f"scipy.fft.{_name}"] = [
        lambda p, f=_one, n=n, norm=norm: both(f(p[:7], n, norm=norm))
        for n in (None, 1, 2, 6, 9) for norm in (None, "ortho", "forward")
    ]  # fmt: skip
    LINEAR[f"scipy.fft.{_name}2"] = [
        lambda p, f=_two: both(f(image(p))), lambda p, f=_two: both(f(image(p), (3, 7))),
        lambda p, f=_two: both(f(np.reshape(p, (2, 3, 4)), axes=(0, 1), norm="ortho")),
    ]  # fmt: skip
    LINEAR[f"scipy.fft.{_name}n"] = [
        lambda p, f=_n: both(f(np.reshape(p, (2, 3, 4)))),
        lambda p, f=_n: both(f(image(p), (5,), norm="forward", overwrite_x=True, workers=1)),
        lambda p, f=_n: both(f(np.reshape(p, (2, 3, 4)), (5, 2), (2, 0))),
    ]
    if not _of_real:
        LINEAR[f"scipy.fft.{_name}"] += [
            lambda p, f=_one, n=n: both(f(complex_image(p), n, axis=0)) for n in (None, 2, 5)
        ]
        LINEAR[f"scipy.fft.{_name}n"] += [lambda p, f=_n: both(f(complex_image(p), axes=(1, 0)))]
for _name in ("dct", "idct", "dst", "idst"):
    _one, _n = getattr(sf, _name), getattr(sf, f"{_name}n")
    LINEAR[f"scipy.fft.{_name}"] = [
        lambda p, f=_one, t=kind, norm=norm, o=o: f(p[:7], t, None if o is None else 6, norm=norm,
                                                    orthogonalize=o)
        for kind in (1, 2, 3, 4) for norm in (None, "ortho", "forward")
        for o in (None, True, False)
    ] + [
        lambda p, f=_one: f(image(p), axis=0), lambda p, f=_one: both(f(complex_image(p))),
    ]  # fmt: skip
    LINEAR[f"scipy.fft.{_name}n"] = [
        lambda p, f=_n, t=kind: f(np.reshape(p, (2, 3, 4)), t, (3, 5), (0, 2), norm="ortho")
        for kind in (1, 2, 3, 4)
    ] + [lambda p, f=_n: f(image(p))]  # fmt: skip
