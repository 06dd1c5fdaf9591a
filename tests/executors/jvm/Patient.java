import java.net.ServerSocket;
import java.net.Socket;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.locks.ReentrantLock;

/** A program that stands still in known places: 3 threads at a monitor, 1 at a lock, 1 reading from a silent peer. */
public class Patient {
    static final Object MONITOR = new Object();
    static final ReentrantLock LOCK = new ReentrantLock();
    static volatile long spun;

    static void waitForMonitor() {
        synchronized (MONITOR) {
            System.err.println("the monitor was free");
        }
    }

    static void waitForLock() {
        LOCK.lock();
    }

    static void readFromBackend(int port) {
        try (Socket socket = new Socket("127.0.0.1", port)) {
            socket.getInputStream().read();
        } catch (java.io.IOException gone) {
            System.err.println(gone);
        }
    }

    /** A counted loop: with the serial collector it has no safepoint inside. */
    static void spin() {
        int sum = 0;
        for (int i = 0; i < Integer.MAX_VALUE; i++) {
            sum += sum * i + (i ^ sum);
        }
        spun += sum;
    }

    public static void main(String[] arguments) throws Exception {
        ServerSocket silent = new ServerSocket(0, 50, java.net.InetAddress.getLoopbackAddress());
        ExecutorService pool = Executors.newFixedThreadPool(4);
        pool.submit(() -> {}).get();
        synchronized (MONITOR) {
            LOCK.lock();
            int more = arguments.length > 0 && !arguments[0].equals("spin") ? Integer.parseInt(arguments[0]) : 3;
            for (int i = 0; i < more; i++) {
                new Thread(null, Patient::waitForMonitor, "exec-" + i, 128 * 1024).start();
            }
            new Thread(Patient::waitForLock, "locker-1").start();
            new Thread(() -> readFromBackend(silent.getLocalPort()), "caller-1").start();
            if (arguments.length > 0 && arguments[0].equals("spin")) {
                for (int i = 0; i < 3; i++) {
                    new Thread(() -> { while (true) { spin(); } }, "spinner-" + i).start();
                }
            }
            System.out.println("up");
            Thread.sleep(600_000);
        }
    }
}
