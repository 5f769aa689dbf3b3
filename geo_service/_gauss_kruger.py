"""The compiled loop of the Krueger series; `geo_service.crs` holds the constants and the source."""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


@numba.njit(cache=True, nogil=True)
def forward_one(lon: float, lat: float, series: FloatArray) -> tuple[float, float]:
    """Project one longitude and latitude (degrees) to easting and northing (metres)."""
    phi = math.radians(lat)
    lam = math.radians(lon - series[0])
    e = series[2]
    tau = math.tan(phi)
    sigma = math.sinh(e * math.atanh(e * tau / math.sqrt(1.0 + tau * tau)))
    tau1 = tau * math.sqrt(1.0 + sigma * sigma) - sigma * math.sqrt(1.0 + tau * tau)
    cos_lam = math.cos(lam)
    xi = math.atan2(tau1, cos_lam)
    eta = math.asinh(math.sin(lam) / math.sqrt(tau1 * tau1 + cos_lam * cos_lam))
    # Clenshaw summation of alpha_j sin(2 j (xi + i eta)) as one complex recurrence.
    angle = complex(2.0 * xi, 2.0 * eta)
    twice_cos = 2.0 * complex(
        math.cos(angle.real) * math.cosh(angle.imag), -math.sin(angle.real) * math.sinh(angle.imag)
    )
    later = complex(0.0, 0.0)
    latest = complex(0.0, 0.0)
    for j in range(6, 0, -1):
        latest, later = twice_cos * latest - later + series[4 + j], latest
    sine = complex(
        math.sin(angle.real) * math.cosh(angle.imag), math.cos(angle.real) * math.sinh(angle.imag)
    )
    zeta = complex(xi, eta) + latest * sine
    return series[3] + series[1] * zeta.imag, series[4] + series[1] * zeta.real


@numba.njit(cache=True, nogil=True)
def forward(lon: FloatArray, lat: FloatArray, series: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Project arrays of longitudes and latitudes (degrees) to eastings and northings (metres)."""
    east = np.empty(lon.size)
    north = np.empty(lon.size)
    for i in range(lon.size):
        east[i], north[i] = forward_one(lon[i], lat[i], series)
    return east, north
