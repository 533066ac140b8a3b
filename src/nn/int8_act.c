/* int8_act.c: functions of one number as quadratics in 32 segments.
 *
 * 30 segments of one length lie around 0; the two beyond them are straight
 * lines, as all of these functions are far from 0. Ends of segments fall on the
 * kinks of HardSwish and its like, which are therefore exact; the others are
 * off by 0.002 at most, Swish by 0.005 at its ends: half a step of a byte or
 * so. */
#include "nn/int8.h"

/* The parabola through f at `from`, `to`, and half-way. */
static void fit_segment(enum sosie_op op, struct sosie_act act, double from,
                        double to, double c[3])
{
    double middle = (from + to) / 2, h = (to - from) / 2;
    double a = (double)sosie_act_apply(op, act, (float)from);
    double b = (double)sosie_act_apply(op, act, (float)middle);
    double d = (double)sosie_act_apply(op, act, (float)to);
    double curve = (a - 2 * b + d) / (2 * h * h), slope = (d - a) / (2 * h);
    c[2] = curve;
    c[1] = slope - 2 * curve * middle;
    c[0] = b - slope * middle + curve * middle * middle;
}

/* The line from f at `near` to f far beyond. */
static void fit_line(enum sosie_op op, struct sosie_act act, double near,
                     double far, double c[3])
{
    double a = (double)sosie_act_apply(op, act, (float)near);
    double b = (double)sosie_act_apply(op, act, (float)far);
    c[2] = 0;
    c[1] = (b - a) / (far - near);
    c[0] = b - c[1] * far;
}

void sosie_qact_fit(enum sosie_op op, struct sosie_act act, float gain,
                    float shift, struct sosie_qact *out)
{
    double step = op == SOSIE_OP_GELU ? 0.25 : 0.5, reach = 15 * step;
    out->inverse_step = (float)(1 / step);
    out->offset = (float)(SOSIE_QSEGMENTS / 2);
    for (size_t i = 0; i < SOSIE_QSEGMENTS; i++) {
        double c[3], from = ((double)i - SOSIE_QSEGMENTS / 2) * step;
        if (i == 0)
            fit_line(op, act, -2 * reach, -4 * reach, c);
        else if (i == SOSIE_QSEGMENTS - 1)
            fit_line(op, act, 2 * reach, 4 * reach, c);
        else
            fit_segment(op, act, from, from + step, c);
        out->c0[i] = (float)(c[0] * (double)gain + (double)shift);
        out->c1[i] = (float)(c[1] * (double)gain);
        out->c2[i] = (float)(c[2] * (double)gain);
    }
}
