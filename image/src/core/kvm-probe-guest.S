# Boot sector that goes the way of a kernel's first steps: real mode, paging, model-specific register, long mode, SSE.
# It ends the machine through isa-debug-exit when its sums are right, and halts for ever when they are not.
# Assembled bytes: kvm-probe-guest.ts; test/kvm-probe.test.ts assembles this file and compares.
#   as --64 -o g.o kvm-probe-guest.S && ld -m elf_x86_64 -Ttext=0x7c00 --oformat binary -o g.bin g.o
.code16
.globl _start
_start:
        cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        # Page tables at 0x1000: one PML4 entry, one PDPT entry, one page of 2 MiB.
        cld
        movw    $0x1000, %di
        movw    $0x1800, %cx
        rep stosw
        movl    $0x2003, 0x1000
        movl    $0x3003, 0x2000
        movl    $0x0083, 0x3000
        # CR4: PAE, OSFXSR, OSXMMEXCPT
        movl    $0x620, %eax
        movl    %eax, %cr4
        movl    $0x1000, %eax
        movl    %eax, %cr3
        # EFER.LME
        movl    $0xc0000080, %ecx
        rdmsr
        orl     $0x100, %eax
        wrmsr
        # CR0: paging, protection, monitor coprocessor
        movl    $0x80000003, %eax
        movl    %eax, %cr0
        lgdtl   gdt_pointer
        ljmpl   $8, $long_mode
.code64
long_mode:
        movl    $16, %eax
        movl    %eax, %ds
        movl    %eax, %ss
        # 1 + 2 + ... + 1000000, in a general register and in an SSE register
        movl    $1000000, %ecx
        xorl    %ebx, %ebx
        pxor    %xmm0, %xmm0
1:      addq    %rcx, %rbx
        movq    %rcx, %xmm1
        paddq   %xmm1, %xmm0
        decl    %ecx
        jnz     1b
        movq    %xmm0, %rdx
        cmpq    %rdx, %rbx
        jne     2f
        movabsq $500000500000, %rdx
        cmpq    %rdx, %rbx
        jne     2f
        cpuid
        movb    $0x10, %al
        outb    %al, $0xf4
2:      hlt
        jmp     2b
        .balign 8
gdt:    .quad   0
        .quad   0x00209a0000000000
        .quad   0x0000920000000000
gdt_pointer:
        .word   gdt_pointer - gdt - 1
        .long   gdt
        .org    510
        .word   0xaa55
