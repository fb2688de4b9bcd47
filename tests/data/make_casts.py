"""Cast vectors from independent libraries, one row for each pair of formats, rounding and overflow:
from,to,rounding,overflow,words,results. Words are two's complement in hex. Run here, with Python 3:

    pip install apytypes==0.5.1 && python make_casts.py apytypes > casts_apytypes.csv
    pip download --no-deps hls4ml==1.3.0 && unzip hls4ml-*.whl 'hls4ml/templates/vivado/ap_types/*'
    python make_casts.py ap_fixed hls4ml/templates/vivado/ap_types > casts_ap_fixed.csv

The second compiles the `ap_fixed` headers with g++, their assertions off: one of them fires where
more bits are dropped than the word has, on a bit that is then not used.
"""

import itertools
import random
import re
import subprocess
import sys
import tempfile

ROUNDINGS = {
    "floor": "TRN",
    "toward_zero": "TRN_ZERO",
    "half_up": "RND",
    "half_toward_zero": "RND_ZERO",
    "half_away": "RND_INF",
    "half_down": "RND_MIN_INF",
    "half_even": "RND_CONV",
}
OVERFLOWS = {
    "wrap": "WRAP",
    "saturate": "SAT",
    "saturate_zero": "SAT_ZERO",
    "saturate_symmetric": "SAT_SYM",
    "wrap_sign_magnitude": "WRAP_SM",
}
PAIRS = """
s8f4>s4f0 s8f4>u4f0 u8f4>s4f0 u8f4>u4f0 s8f4>s6f2 s8f4>u5f3 s8f0>s4f0 s8f0>s2f-2 s8f7>s1f0 s8f4>u1f0
s6f-2>s8f1 u6f-2>s12f3 s5f9>s8f4 s6f12>s4f9 s6f12>s4f3 s4f0>s16f8 s4f0>s6f7 u4f0>u6f7
s16f8>s8f4 s16f12>u8f8 u16f0>s8f-8 s32f16>s16f8 s32f30>s12f11 u32f31>u8f7 s32f0>s8f-20 s40f24>s24f12
s48f20>s64f40 s64f32>s32f16 s64f63>s18f17 u64f64>u16f12 u64f0>s64f0 s64f0>u64f0 u64f10>u64f8 s64f-10>s16f-70
s2f1>s64f60 s64f20>s64f-40
""".split()


def split(form):
    sign, bits, frac = re.fullmatch(r"([su])(\d+)f(-?\d+)", form).groups()
    return sign == "s", int(bits), int(frac)


def words(pair, source, target):
    """Ends of the range, ties, and random words."""
    (_, bits, frac), (_, _, to_frac) = source, target
    top = 1 << bits
    rng = random.Random(pair)
    found = {0, 1, 2, top - 1, top - 2, top // 2, top // 2 - 1, top // 2 + 1}
    dropped = frac - to_frac
    if 1 <= dropped < bits:
        half = 1 << (dropped - 1)
        for tie in [half, half + 2 * half, top - half, top - half - 2 * half, rng.randrange(top) // (2 * half) * 2 * half + half]:
            found |= {tie % top, (tie - 1) % top, (tie + 1) % top}
    while len(found) < min(top, 24):
        found.add(rng.randrange(top) >> rng.randrange(bits))
    return sorted(w % top for w in found if w < top)


def casts():
    for pair in PAIRS:
        names = pair.split(">")
        source, target = map(split, names)
        for rounding, overflow in itertools.product(ROUNDINGS, OVERFLOWS):
            if overflow == "saturate_symmetric" and target[:2] == (True, 1):
                continue
            if overflow == "wrap_sign_magnitude" and (rounding != "floor" or not target[0]):
                continue
            yield (*names, rounding, overflow), source, target, words(pair, source, target)


def apytypes_results(rounding, overflow, source, target, patterns):
    import apytypes

    values = apytypes.APyFixedArray(
        [w - (1 << source[1]) if source[0] and w >> (source[1] - 1) else w for w in patterns],
        bits=source[1] + (not source[0]),
        frac_bits=source[2],
    )
    # An unsigned target is the nonnegative part of a signed one of one bit more when it saturates,
    # and its low bits when it wraps.
    wide = values.cast(
        bits=200,
        frac_bits=target[2],
        quantization=getattr(apytypes.QuantizationMode, ROUNDINGS[rounding]),
        overflow=apytypes.OverflowMode.WRAP,
    )
    unsigned_saturates = not target[0] and overflow == "saturate"
    result = wide.cast(
        bits=target[1] + unsigned_saturates,
        frac_bits=target[2],
        overflow=getattr(apytypes.OverflowMode, OVERFLOWS[overflow]),
    )
    raw = result.to_bits()
    if unsigned_saturates:
        return [0 if w >> target[1] & 1 else w for w in raw]
    return [w % (1 << target[1]) for w in raw]


def ap_fixed_results(include):
    def cpp(form, *modes):
        signed, bits, frac = form
        return f"ap_{'' if signed else 'u'}fixed<{', '.join([str(bits), str(bits - frac), *modes])}>"

    lines, keys = [], []
    for key, source, target, patterns in casts():
        modes = f"AP_{ROUNDINGS[key[2]]}", f"AP_{OVERFLOWS[key[3]]}"
        literals = ", ".join(f"0x{w:x}ULL" for w in patterns)
        lines.append(f"  run<{cpp(source)}, {cpp(target, *modes)}, {source[1]}>({{{literals}}});")
    program = (
        """#include <cstdio>
#include <initializer_list>
#include "ap_fixed.h"
template <class From, class To, int W> void run(std::initializer_list<unsigned long long> words) {
  for (unsigned long long word : words) {
    From from;
    from.range() = ap_uint<W>(word);
    To to = from;
    printf("%llx ", (unsigned long long)to.range().to_uint64());
  }
  printf("\\n");
}
int main() {
"""
        + "\n".join(lines)
        + "\n}\n"
    )
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/casts.cpp", "w") as file:
            file.write(program)
        compiler = ["g++", "-O0", "-w", "-DNDEBUG", f"-I{include}"]
        subprocess.run([*compiler, f"{folder}/casts.cpp", "-o", f"{folder}/casts"], check=True)
        out = subprocess.run([f"{folder}/casts"], check=True, capture_output=True, text=True).stdout
    return [line.split() for line in out.splitlines()]


def main():
    library = sys.argv[1]
    if library == "apytypes":
        rows = [
            (key, patterns, [f"{w:x}" for w in apytypes_results(*key[2:], source, target, patterns)])
            for key, source, target, patterns in casts()
            if key[3] in ("wrap", "saturate")
        ]
        print("# apytypes 0.5.1: python make_casts.py apytypes > casts_apytypes.csv")
    else:
        rows = [
            (key, patterns, results)
            for (key, _, _, patterns), results in zip(casts(), ap_fixed_results(sys.argv[2]), strict=True)
        ]
        print("# The ap_fixed headers of hls4ml 1.3.0, compiled:")
        print("# python make_casts.py ap_fixed hls4ml/templates/vivado/ap_types > casts_ap_fixed.csv")
    print("from,to,rounding,overflow,words,results")
    for key, patterns, results in rows:
        print(",".join([*key, " ".join(f"{w:x}" for w in patterns), " ".join(results)]))


main()
