"""The plot of latency over time, as SVG: p99 of each second, and the median below it, on a logarithmic scale."""

import math

WIDTH, HEIGHT = 860, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 120, 46, 46
COLOURS = {"Milena": "#0b7a75", "Kafka": "#c2571a"}
LOW, HIGH = 0.3, 5000


def latency(series):
    """series: {server: [[second, p50, p99, max], …]} in milliseconds."""
    end = max(points[-1][0] for points in series.values()) + 1
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" '
        'font-size="13" fill="#222">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="22" font-size="15">End-to-end latency at 100 MB/s of 1 KB records: p99 of each second '
        "(thin: median)</text>",
    ]
    parts += grid(end)
    for name, points in series.items():
        colour = COLOURS.get(name, "#555")
        parts.append(line(points, 1, end, colour, 0.8, 0.55))
        parts.append(line(points, 2, end, colour, 1.8, 1))
        last = points[-1]
        parts.append(f'<text x="{WIDTH - RIGHT + 8}" y="{height(last[2]) + 4:.0f}" fill="{colour}">{name}</text>')
    parts.append("</svg>")
    return "\n".join(parts) + "\n"


def grid(end):
    parts = []
    for value in (1, 10, 100, 1000):
        y = height(value)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        label = f"{value} ms" if value < 1000 else f"{value // 1000} s"
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    step = next(step for step in (5, 10, 30, 60, 300, 600) if end / step <= 12 or step == 600)
    for second in range(0, end + 1, step):
        parts.append(
            f'<text x="{across(second, end):.1f}" y="{HEIGHT - BOTTOM + 20}" text-anchor="middle">{second} s</text>'
        )
    return parts


def line(points, column, end, colour, width, opacity):
    path = "".join(
        f"{'M' if i == 0 else 'L'}{across(point[0], end):.1f} {height(point[column]):.1f}"
        for i, point in enumerate(points)
    )
    return f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="{width}" opacity="{opacity}"/>'


def across(second, end):
    return LEFT + (WIDTH - LEFT - RIGHT) * second / max(end, 1)


def height(value):
    part = math.log(min(max(value, LOW), HIGH) / LOW) / math.log(HIGH / LOW)
    return HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * part
