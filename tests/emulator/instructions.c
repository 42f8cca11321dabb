/* Counts executed guest instructions: a plugin for qemu-user (TCG plugin API version 1, QEMU 4.2 to 8.2).
 *
 *   cc -O2 -shared -fPIC instructions.c -o libinstructions.so
 *   qemu-aarch64 -plugin ./libinstructions.so -d plugin -D count.txt PROGRAM...
 *
 * Distributions ship qemu-user without qemu-plugin.h, so the few functions used are declared here, as documented in
 * https://www.qemu.org/docs/master/devel/tcg-plugins.html. Each virtual CPU has its own counter, so threads lose no counts.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))
#define CPUS 256

typedef uint64_t plugin_id;
struct block;

extern size_t qemu_plugin_tb_n_insns(const struct block *);
extern void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id, void (*)(plugin_id, struct block *));
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct block *, void (*)(unsigned, void *), int flags, void *);
extern void qemu_plugin_register_atexit_cb(plugin_id, void (*)(plugin_id, void *), void *);
extern void qemu_plugin_outs(const char *);

EXPORT int qemu_plugin_version = 1;

static struct { uint64_t count, unused[7]; } cpus[CPUS];

static void executed(unsigned cpu, void *instructions)
{
    cpus[cpu % CPUS].count += (uintptr_t)instructions;
}

static void translated(plugin_id id, struct block *block)
{
    (void)id;
    /* Flag 0: the callback reads and writes no registers. */
    qemu_plugin_register_vcpu_tb_exec_cb(block, executed, 0, (void *)(uintptr_t)qemu_plugin_tb_n_insns(block));
}

static void finished(plugin_id id, void *unused)
{
    uint64_t sum = 0;
    char line[32];
    (void)id, (void)unused;
    for (size_t i = 0; i < CPUS; i++)
        sum += cpus[i].count;
    snprintf(line, sizeof line, "%llu\n", (unsigned long long)sum);
    qemu_plugin_outs(line);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info, (void)argc, (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finished, NULL);
    return 0;
}
