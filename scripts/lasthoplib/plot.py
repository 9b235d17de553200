# SPDX-License-Identifier: BSD-2-Clause
"""Plots as SVG: lines over a number, and groups of bars. The same data give the same file, byte by byte, so
that those in docs/plots show in a diff what has changed."""
import math
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 70, 20, 44, 66
COLOURS = ("#1b6ca8", "#d1495b", "#2e933c", "#edae49", "#6a4c93", "#5f6b6d", "#00a6a6", "#8d5b4c")
STEPS = (1, 2, 2.5, 5, 10)


def ticks(most, wanted=5):
    """round numbers from 0 until at least the most"""
    if most <= 0:
        return [0, 1]
    rough = most / wanted
    power = 10 ** math.floor(math.log10(rough))
    step = next(s * power for s in STEPS if s * power >= rough * 0.999999)
    return [step * n for n in range(math.ceil(most / step * 0.999999) + 1)]


def number(value):
    return f"{value:.6g}"


class Canvas:
    """An SVG with title, axes and legend; y is drawn by its value."""

    def __init__(self, title, x_name, y_name, most):
        self.grid = ticks(most)
        self.top = self.grid[-1]
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="sans-serif" font-size="12" fill="#222">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>']
        self.text(WIDTH / 2, 18, title, size=14)
        self.text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 30, x_name)
        self.text(0, 0, y_name, more=f'transform="translate(16 {(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)"')
        for value in self.grid:
            self.line(LEFT, self.y(value), WIDTH - RIGHT, self.y(value), "#ddd")
            self.text(LEFT - 6, self.y(value) + 4, number(value), "end")

    def y(self, value):
        return HEIGHT - BOTTOM - value / self.top * (HEIGHT - TOP - BOTTOM)

    def text(self, x, y, text, anchor="middle", size=12, more=""):
        self.parts.append(f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
                          f'{more}>{escape(str(text))}</text>')

    def line(self, x1, y1, x2, y2, colour, more=""):
        self.parts.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                          f'stroke="{colour}" {more}/>')

    def legend(self, names):
        x = LEFT
        for i, name in enumerate(names):
            self.parts.append(f'<rect x="{x}" y="{HEIGHT - 18}" width="10" height="10" '
                              f'fill="{COLOURS[i % len(COLOURS)]}"/>')
            self.text(x + 14, HEIGHT - 9, name, "start")
            x += 24 + 7 * len(name)

    def done(self, names):
        self.legend(names)
        return "\n".join(self.parts + ["</svg>", ""])


def lines(title, x_name, y_name, series):
    """series: {name: [(x, y)]}, drawn with a mark at each point"""
    points = [p for line in series.values() for p in line]
    canvas = Canvas(title, x_name, y_name, max(y for _, y in points))
    xs = sorted({x for x, _ in points})
    low, high = min(xs[0], 0), xs[-1] or 1

    def at(x):
        return LEFT + (x - low) / (high - low) * (WIDTH - LEFT - RIGHT - 10)

    for x in xs:
        canvas.text(at(x), HEIGHT - BOTTOM + 16, number(x))
    for i, line in enumerate(series.values()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{at(x):.1f},{canvas.y(y):.1f}" for x, y in line)
        canvas.parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        canvas.parts += [f'<circle cx="{at(x):.1f}" cy="{canvas.y(y):.1f}" r="3" fill="{colour}"/>'
                         for x, y in line]
    return canvas.done(series)


def bars(title, y_name, groups, series):
    """groups: names below the axis; series: {name: a value for each group}"""
    canvas = Canvas(title, "", y_name, max(v for values in series.values() for v in values))
    room = (WIDTH - LEFT - RIGHT) / len(groups)
    width = room * 0.8 / len(series)
    slanted = max(map(len, groups)) * 7 > room
    for g, name in enumerate(groups):
        x = LEFT + room * (g + 0.5)
        if slanted:
            canvas.text(0, 0, name, "end", 10,
                        f'transform="translate({x + 4:.1f} {HEIGHT - BOTTOM + 12}) rotate(-25)"')
        else:
            canvas.text(x, HEIGHT - BOTTOM + 16, name)
        for s, values in enumerate(series.values()):
            y = canvas.y(values[g])
            canvas.parts.append(
                f'<rect x="{x - room * 0.4 + s * width:.1f}" y="{y:.1f}" width="{width:.1f}" '
                f'height="{HEIGHT - BOTTOM - y:.1f}" fill="{COLOURS[s % len(COLOURS)]}"/>')
    return canvas.done(series)
